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
    TOO_LARGE = "too large"
    UNPRICED = "unpriced"


@dataclass(frozen=True)
class Told:
    """Whether a call fits. `tokens` and `cost_usd` are what the day has used, where the budget is used up, and `wait_s`
    is for how long others have reserved the rest of it."""

    status: Status
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    wait_s: float = 0.0


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
    cost = answer.get("cost_usd") or 0
    return Told(Status(answer["status"]), answer.get("tokens") or 0, Decimal(str(cost)), answer.get("wait_s") or 0.0)


def record(call: ModelCall, *, is_reserved: bool, is_known: bool = True) -> None:
    """Keep a call, and let what it has used take the place of its reservation; all of that, where it was paid for and
    nobody knows what it has used (`is_known` false) or what that cost. Idempotent."""
    if not is_reserved:
        call.save()
        return
    with transaction.atomic():
        call.save()
        tokens = call.prompt_tokens + call.completion_tokens if is_known else None
        settle(call.pk, tokens=tokens, cost_usd=call.cost_usd if is_known and call.is_priced else None)


def settle(call: UUID, *, tokens: int | None, cost_usd: Decimal | None) -> None:
    """Let what a call has used take the place of what it had reserved, once; None: as much as that. Raises like
    `reserve`."""
    database.call("settle_spending", call=call, tokens=tokens, cost_usd=cost_usd)
