"""What the models of a tenant use in a day, where it has a budget for that: reserved, then settled."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from agentapp.lifecycle import database, gates
from agentapp.models import Limit, ModelCall


class Status(StrEnum):
    OK = "ok"
    WAIT = "wait"
    USED_UP = "used up"
    UNPRICED = "unpriced"


@dataclass(frozen=True)
class Told:
    """Whether a call fits; `tokens` and `cost_usd` are what the day has used, where the budget is used up."""

    status: Status
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


def is_budgeted(tenant_id: int) -> bool:
    """Tell whether what a tenant's models use is to be reserved first. A job was told by its claim."""
    key = f"budget:{tenant_id}"
    gates.know([key])
    limit = Limit.objects.filter(key=key).first()
    return limit is not None and (limit.tokens_per_day is not None or limit.cost_usd_per_day is not None)


def reserve(tenant_id: int, call: UUID, *, tokens: int, cost_usd: Decimal | None, seconds: float) -> Told:
    """Reserve what a call may use at most, for so many seconds. `cost_usd` None: its price is not known.

    Asked again, because an answer was lost, it reserves once. Raises Unavailable, DatabaseBusy.
    """
    answer = database.call(
        "reserve_spending", tenant=tenant_id, call=call, tokens=tokens, cost_usd=cost_usd, seconds=seconds
    )
    return Told(Status(answer["status"]), answer.get("tokens", 0), Decimal(str(answer.get("cost_usd", 0))))


def record(call: ModelCall, *, is_reserved: bool) -> None:
    """Keep a call, and let what it has used take the place of its reservation. Idempotent."""
    if not is_reserved:
        call.save()
        return
    with transaction.atomic():
        call.save()
        settle(call.pk, tokens=call.prompt_tokens + call.completion_tokens, cost_usd=call.cost_usd)


def settle(call: UUID, *, tokens: int, cost_usd: Decimal) -> None:
    """Let what a call has used take the place of what it had reserved, once. Raises like `reserve`."""
    database.call("settle_spending", call=call, tokens=tokens, cost_usd=cost_usd)
