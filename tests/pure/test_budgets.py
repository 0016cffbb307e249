"""What a run may still spend, and what a person is asked. [C5] [H4]"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agentapp.policies import budgets
from agentapp.policies.budgets import Ask, Budget, May, Spent

PROMPT, MOST = 1_000, 8_000


def cheap(prompt: int, completion: int) -> Decimal | None:
    """A cent for each thousand tokens."""
    return Decimal(prompt + completion) / 100_000


def unknown(prompt: int, completion: int) -> Decimal | None:
    return None


def ask(budget: Budget, spent: Spent, price: budgets.Price = cheap) -> May | Ask:
    return budgets.decide(budget, spent, prompt_tokens=PROMPT, max_tokens=MOST, price=price)


def test_without_a_limit_nothing_is_held_back() -> None:
    spent = Spent(10**6, 10**9, Decimal(10**6), Decimal(10**9), unpriced_calls=3)
    assert ask(Budget(), spent, unknown) == May(MOST)


@pytest.mark.parametrize(
    ("budget", "spent", "expected"),
    [
        (Budget(turns=Decimal(3)), Spent(turns=2), MOST),
        (Budget(turns=Decimal(3)), Spent(turns=3), "turns"),
        (Budget(wall_clock_s=Decimal(60)), Spent(wall_clock_s=Decimal("59.9")), MOST),
        (Budget(wall_clock_s=Decimal(60)), Spent(wall_clock_s=Decimal(60)), "wall_clock_s"),
        (Budget(tokens=Decimal(20_000)), Spent(tokens=0), MOST),
        (Budget(tokens=Decimal(20_000)), Spent(tokens=18_000), 1_000),
        (Budget(tokens=Decimal(20_000)), Spent(tokens=18_744), 256),
        (Budget(tokens=Decimal(20_000)), Spent(tokens=18_745), "tokens"),
        (Budget(cost_usd=Decimal(1)), Spent(cost_usd=Decimal("0.9")), MOST),
        (Budget(cost_usd=Decimal(1)), Spent(cost_usd=Decimal("0.92")), 4_000),
        (Budget(cost_usd=Decimal(1)), Spent(cost_usd=Decimal("0.99")), "cost_usd"),
    ],
)
def test_a_call_is_made_only_if_its_worst_case_is_within_the_budget(
    budget: Budget, spent: Spent, expected: Any
) -> None:
    found = ask(budget, spent)
    assert (found.max_tokens if isinstance(found, May) else found.content["budget"]) == expected


def test_the_question_has_the_exact_numbers_and_raises_by_what_it_says() -> None:
    found = ask(Budget(tokens=Decimal(2_000)), Spent(tokens=1_900))

    assert isinstance(found, Ask)
    assert found.content["subject"] == "Raise the budget of tokens from 2000 to 4000?"
    assert "1900 of 2000 tokens are used. The next turn may need 1256 tokens." in found.content["body"]
    once = ask(Budget(turns=Decimal(1)), Spent(turns=1))
    assert isinstance(once, Ask) and once.content["body"].startswith("1 of 1 turns is used. Approved,")
    raised = budgets.of({"tokens": 2_000}, [found.content, {**found.content, "raise_to": "9000.5"}])
    assert raised == Budget(tokens=Decimal("9000.5"))


@pytest.mark.parametrize("spent", [Spent(), Spent(unpriced_calls=1)])
def test_a_limit_of_money_and_a_model_without_a_price_is_asked_about_and_never_passes(spent: Spent) -> None:
    budget = Budget(cost_usd=Decimal(10**6))
    found = ask(budget, spent, cheap if spent.unpriced_calls else unknown)

    assert isinstance(found, Ask) and found.content["budget"] == "unpriced"
    assert "the price of its model is not known" in found.content["body"] and "raise_to" not in found.content
    allowed = budgets.of({"cost_usd": 10**6}, [found.content])
    assert ask(allowed, spent, unknown) == May(MOST)


@pytest.mark.parametrize("raise_to", ["1900", "0", "-5", "NaN", "Infinity", "much", "", "1e400", "1e13"])
def test_a_budget_is_raised_above_what_is_used(raise_to: str) -> None:
    shown = {"budget": "tokens", "subject": "s", "body": "b", "used": "1900", "limit": "2000", "raise_to": "4000"}

    assert "Write a number above 1900" in budgets.problem(shown | {"raise_to": raise_to}, shown=shown)
    assert budgets.problem(shown | {"raise_to": "1900.5"}, shown=shown) == ""
    assert "Only raise_to" in budgets.problem(shown | {"used": "1"}, shown=shown)
    told = budgets.reworded(shown | {"raise_to": "5000"}, shown=shown)
    assert budgets.problem(told, shown=shown) == ""
    assert "Only raise_to" in budgets.problem(told | {"body": "Raise it to nothing."}, shown=shown)


def test_tokens_are_estimated_from_above() -> None:
    assert budgets.tokens_of(["word " * 100, "日本" * 50]) == 250 + 150 + 2 * budgets.PER_MESSAGE


def test_time_in_which_several_people_were_asked_at_once_counts_once() -> None:
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001

    def spans(*minutes: tuple[int, int]) -> timedelta:
        return budgets.together((noon + timedelta(minutes=a), noon + timedelta(minutes=b)) for a, b in minutes)

    assert spans() == timedelta()
    # Beside each other, within each other, and after a pause.
    assert spans((5, 20), (0, 10), (1, 2), (30, 31)) == timedelta(minutes=21)
