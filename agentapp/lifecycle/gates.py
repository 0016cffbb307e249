"""Gates and what they come to: kept, resolved, metered, explained. Every change leaves a GateChange. [E1] [E2] [E6]"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from agentapp import registry
from agentapp.lifecycle import audit, database, function_set, leadership
from agentapp.models import Gate, Tenant
from agentapp.policies.breaker import BREAKER
from agentapp.states import GateScope, KeyMode

Json = dict[str, Any]
NOT_SHOWN = frozenset({"id", "updated_at"})


def fields_of(gate: Gate) -> Json:
    """What a gate says, as the audit keeps it."""
    return {field.name: getattr(gate, field.name) for field in gate._meta.fields if field.name not in NOT_SHOWN}


def keep(gate: Gate, *, actor: str, reason: str = "") -> Gate:
    """Make a gate or change one, with all limits that follow from it; it holds from the next claim on.

    Raises:
        django.db.IntegrityError: there is one of the same scope, pattern and tier.
    """
    with transaction.atomic():
        before = Gate.objects.select_for_update().filter(pk=gate.pk).first() if gate.pk else None
        gate.save()
        _recount(gate)
        _resolve()
        _note(gate, "changed" if before else "created", before=before, after=gate, actor=actor, reason=reason)
        leadership.notify()
    return gate


def remove(gate: Gate, *, actor: str, reason: str = "") -> None:
    """Take a gate away; the next one that fits holds in its place, or none."""
    with transaction.atomic():
        _note(gate, "deleted", before=gate, after=None, actor=actor, reason=reason)
        gate.delete()
        _recount(gate)
        _resolve()
        leadership.notify()


def change_tenant(tenant_id: int, *, tier: str, weight: float, actor: str, reason: str = "") -> bool:
    """Give a tenant a tier and a weight, with the limit that follows from its tier; False when it has them already."""
    after: Json = {"tier": tier, "weight": weight}
    with transaction.atomic():
        tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
        before = {name: getattr(tenant, name) for name in after}
        if before == after:
            return False
        Tenant.objects.filter(pk=tenant_id).update(**after)
        key = f"tenant:{tenant_id}"
        _resolve([key, f"budget:{tenant_id}"])
        audit.note(key, "changed", actor=actor, reason=reason, before=before, after=after)
        leadership.notify()
    return True


def _recount(gate: Gate) -> None:
    """A budget holds from what was called before it on the same day. Ahead of the limits, as a call locks them."""
    if gate.scope == GateScope.BUDGET:
        database.call("recount_days")


def _resolve(keys: list[str] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function_set.SCHEMA}.resolve_gates(%s)", [keys])


def target(gate: Gate) -> str:
    """The name of a gate in the audit."""
    return f"gate {gate}"


def _note(gate: Gate, action: str, *, before: Gate | None, after: Gate | None, actor: str, reason: str) -> None:
    audit.note(
        target(gate), action, actor=actor, reason=reason,
        before=fields_of(before) if before else None, after=fields_of(after) if after else None,
    )  # fmt: skip


def know(keys: Iterable[str]) -> None:
    """Make the rows of keys that were never used."""
    database.call("ensure_keys", keys=sorted(keys))


def set_mode(key: str, mode: KeyMode, *, actor: str, reason: str) -> bool:
    """Pause, drain or resume a key; False when it is so already. Resuming also closes its breaker.

    It holds from the next claim on: what runs, runs to its end.

    Raises:
        LookupError: there is no such key.
    """
    answer = database.call("set_mode", key=key, mode=mode.value, actor=actor, reason=reason)
    if answer["status"] == "unknown":
        raise LookupError(key)
    leadership.notify()
    return bool(answer["status"] == "ok")


def report(
    key: str,
    outcome: str,
    *,
    job_type: str,
    tokens: int = 0,
    requests: int = 0,
    used: int | None = None,
    closed_s: float | None = None,
    reason: str = "",
) -> tuple[str, str]:
    """Tell the limit of a key what came of a call; return its breaker's state before and after.

    `outcome` is ok, failed, limited (429) or refused (nothing to do with load). `tokens` and `requests` are what the
    claim had not charged, `used` what the call used in all, `closed_s` for how long the other side wants no more.
    """
    answer = database.call(
        "report", key=key, outcome=outcome, job_type=job_type, tokens=tokens, requests=requests, reason=reason,
        breaker=BREAKER, used=used, closed_s=closed_s,
    )  # fmt: skip
    return answer.get("was", ""), answer.get("breaker", "")


def explain(jobs: Iterable[UUID]) -> Mapping[UUID, list[Json]]:
    """Return why each of these available or scheduled jobs waits: its gates, or its queue. One round trip."""
    found = database.call("explain", jobs=list(jobs), asking=registry.asking())
    return {UUID(job): reasons for job, reasons in found.items()}
