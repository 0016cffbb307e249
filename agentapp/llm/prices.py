"""What a model call costs, from the price table that genai-prices carries in its package (no network)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

# The offline model server, which runs on this machine.
FREE = frozenset({"offline"})


@dataclass(frozen=True)
class Price:
    """`known` is False when the table has no such model: the cost is then 0, which is not the same as free."""

    cost_usd: Decimal
    known: bool


def price(model: str, *, prompt_tokens: int, completion_tokens: int, may_be_free: bool = True) -> Price:
    """Price one call. A model that the table does not know costs 0 and says so in `known`.

    `may_be_free`: it was asked for by this name, where the offline model server may be. Anybody can answer in its name.
    """
    if model in FREE and may_be_free:
        return Price(cost_usd=Decimal(0), known=True)
    # Here, not above: it takes 0.6 s of CPU to import, and most processes never price anything.
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens)
    # By name alone the table does not find OpenAI's embedding models.
    for provider in (None, "openai"):
        with suppress(LookupError):
            found = calc_price(usage, model_ref=model, provider_id=provider)
            return Price(cost_usd=found.total_price, known=True)
    return Price(cost_usd=Decimal(0), known=False)
