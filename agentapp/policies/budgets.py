"""The budget of a run: what it may spend on its next call of a model, and what a person is asked when it is used up.

Numbers in, values out. A budget is a limit for each of turns, tokens, money and time; None holds nothing back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

Json = dict[str, Any]
# Money of a call by its tokens: prompt, completion. None: the price of the model is not known.
Price = Callable[[int, int], Decimal | None]

# A call that may not answer with at least so many tokens is not made.
LEAST_ANSWER = 256
# What an answer is taken to have at most, where nobody has set how long it may be.
DEFAULT_ANSWER_TOKENS = 4_096
# Tokens are estimated from above: two bytes for each, and what the form of a message costs.
BYTES_PER_TOKEN, PER_MESSAGE = 2, 16
UNITS = {"turns": "turns", "tokens": "tokens", "cost_usd": "US dollars", "wall_clock_s": "seconds"}
# A question that raises nothing: going on is all that can be approved.
UNPRICED = "unpriced"
MOST = Decimal(10) ** 12


@dataclass(frozen=True)
class Budget:
    turns: Decimal | None = None
    tokens: Decimal | None = None
    cost_usd: Decimal | None = None
    wall_clock_s: Decimal | None = None
    # A person has allowed calls whose price is not known.
    is_unpriced: bool = False


@dataclass(frozen=True)
class Spent:
    """`unpriced_calls`: what they have cost is not known, and no part of `cost_usd`."""

    turns: int = 0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    wall_clock_s: Decimal = Decimal(0)
    unpriced_calls: int = 0


@dataclass(frozen=True)
class May:
    """The call may be made, with an answer of at most so many tokens."""

    max_tokens: int


@dataclass(frozen=True)
class Ask:
    """A person is asked first. `content` is what the approval shows; `raise_to` in it is what an approval raises to."""

    content: Json


def tokens_of(texts: Sequence[str]) -> int:
    """Estimate the tokens of a prompt from above."""
    return sum(len(text.encode()) // BYTES_PER_TOKEN + PER_MESSAGE for text in texts)


def of(given: Mapping[str, Any] | None, approved: Sequence[Json]) -> Budget:
    """Return the budget that a client gave, as it was raised by approved contents, oldest first."""
    limits = {name: amount(value) for name, value in (given or {}).items() if name in UNITS}
    budget = Budget(limits.get("turns"), limits.get("tokens"), limits.get("cost_usd"), limits.get("wall_clock_s"))
    for content in approved:
        if content["budget"] == UNPRICED:
            budget = replace(budget, is_unpriced=True)
        elif (raised := amount(content.get("raise_to"))) is not None and content["budget"] in UNITS:
            changed: Any = {content["budget"]: raised}
            budget = replace(budget, **changed)
    return budget


def amount(text: Any) -> Decimal | None:
    """Read an amount that a person has entered; None where it is none."""
    try:
        number = Decimal(str(text))
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 < number <= MOST else None


def decide(budget: Budget, spent: Spent, *, prompt_tokens: int, max_tokens: int, price: Price) -> May | Ask:
    """Say whether a run may make its next call: reserve what that costs at most, with a shorter answer if need be."""
    for name in ("turns", "wall_clock_s"):
        limit, used = getattr(budget, name), Decimal(getattr(spent, name))
        if limit is not None and used >= limit:
            return Ask(_question(name, limit, used))
    if budget.tokens is not None:
        left = math.floor(budget.tokens) - spent.tokens - prompt_tokens
        if left < LEAST_ANSWER:
            return Ask(_question("tokens", budget.tokens, Decimal(spent.tokens), Decimal(prompt_tokens + LEAST_ANSWER)))
        max_tokens = min(max_tokens, left)
    if budget.cost_usd is None or budget.is_unpriced:
        return May(max_tokens)
    return _within_money(budget.cost_usd, spent, prompt_tokens, max_tokens, price)


def _within_money(limit: Decimal, spent: Spent, prompt_tokens: int, max_tokens: int, price: Price) -> May | Ask:
    cost = price(prompt_tokens, max_tokens)
    if cost is None or spent.unpriced_calls:
        return Ask(_unpriced(limit, spent))
    while cost is not None and spent.cost_usd + cost > limit:
        if max_tokens <= LEAST_ANSWER:
            return Ask(_question("cost_usd", limit, spent.cost_usd, cost))
        max_tokens = max(LEAST_ANSWER, max_tokens // 2)
        cost = price(prompt_tokens, max_tokens)
    return May(max_tokens)


def _question(name: str, limit: Decimal, used: Decimal, needed: Decimal | None = None) -> Json:
    unit = UNITS[name]
    next_turn = f" The next turn may need {_text(needed)} {unit}." if needed else ""
    raise_to = max(limit * 2, used + (needed or 0))
    return {
        "budget": name,
        "subject": f"Raise the budget of {unit} from {_text(limit)} to {_text(raise_to)}?",
        "body": f"{_used(_text(used), _text(limit), unit)}{next_turn} Approved, the run goes on with a budget "
        f"of {_text(raise_to)} {unit}. Rejected, it ends with what it has.",
        "used": _text(used),
        "limit": _text(limit),
        "raise_to": _text(raise_to),
    }  # fmt: skip


def _unpriced(limit: Decimal, spent: Spent) -> Json:
    return {
        "budget": UNPRICED,
        "subject": "Go on without a limit of money?",
        "body": f"This run may cost {_text(limit)} US dollars, but the price of its model is not known, so that this "
        f"cannot be kept. {_text(spent.cost_usd)} US dollars are known to be used; calls without a price: "
        f"{spent.unpriced_calls}. Approved, the run goes on without a limit of money. Rejected, it ends with what it "
        "has.",
    }


def _text(number: Decimal | None) -> str:
    """A number as people write it, without an exponent."""
    rounded = round(number or Decimal(0), 6)
    text = f"{rounded:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def used_up(ask: Ask) -> str:
    """Say what keeps the next call from being made, without a question."""
    content = ask.content
    if content["budget"] == UNPRICED:
        return "The price of the model is not known, so that a limit of money cannot be kept."
    return _used(content["used"], content["limit"], UNITS[content["budget"]])


def _used(used: str, limit: str, unit: str) -> str:
    return f"{used} of {limit} {unit} {'is' if used == '1' else 'are'} used."


def problem(content: Json, *, shown: Json) -> str:
    """Say what is wrong with a content that a person has edited; the empty string where nothing is."""
    told = reworded(shown | {"raise_to": content.get("raise_to")}, shown=shown)
    others = [name for name in shown if name != "raise_to"]
    if "raise_to" not in shown or any(content[name] not in (shown[name], told[name]) for name in others):
        return "Only raise_to can be edited."
    raised, used = amount(content["raise_to"]), amount(shown["used"]) or Decimal(0)
    if raised is None or raised <= used:
        return f"Write a number above {shown['used']}, which is used already."
    return ""


def reworded(content: Json, *, shown: Json) -> Json:
    """Return an edited content whose sentences say the amount that it raises to."""
    raised, before = amount(content.get("raise_to")), str(shown.get("raise_to", ""))
    if raised is None or not before:
        return content
    said = {
        "subject": (f" to {before}?", f" to {_text(raised)}?"),
        "body": (f"budget of {before} ", f"budget of {_text(raised)} "),
    }
    told = {name: shown[name].replace(*pair) for name, pair in said.items() if isinstance(shown.get(name), str)}
    return content | told


def together(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """How long at least one of these lasted: what several people are asked at once passes once."""
    total, until = timedelta(), None
    for begin, end in sorted(spans):
        if until is None or end > until:
            total += end - (begin if until is None else max(begin, until))
            until = end
    return total
