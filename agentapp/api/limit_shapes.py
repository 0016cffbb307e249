"""Gates, limits and queues as JSON objects."""

from __future__ import annotations

from typing import cast

from agentapp import clock
from agentapp.api.answers import limits as answers
from agentapp.api.shapes import time
from agentapp.models import Gate, GateChange, Limit, TenantDay
from agentapp.services import gates


def gate(row: Gate) -> answers.Gate:
    values = {name: getattr(row, name) for name in gates.SETTABLE}
    return cast("answers.Gate", {"id": row.pk, **values, "updated_at": time(row.updated_at)})


def gate_change(row: GateChange) -> answers.GateChange:
    return {
        "id": row.pk,
        "at": time(row.at),
        "actor": row.actor,
        "action": row.action,
        "target": row.target,
        "before": row.before,
        "after": row.after,
        "reason": row.reason or None,
    }


def limit(row: Limit, *, running: int, used: TenantDay | None) -> answers.Limit:
    """Return what a key is held to, and what it does: `running` jobs now, the rest as it was measured last."""
    return {
        "key": row.key,
        "scope": row.scope,
        "name": row.name,
        "gate": row.gate_id,
        "concurrency": row.concurrency,
        "reserved": row.reserved,
        "requests_per_min": _per_min(row.request_s),
        "request_burst": row.request_burst if row.request_s is not None else None,
        "tokens_per_min": _per_min(row.token_s),
        "token_burst": row.token_burst if row.token_s is not None else None,
        "max_waiting": row.max_waiting,
        "tokens_per_day": row.tokens_per_day,
        "cost_usd_per_day": row.cost_usd_per_day,
        "used_today": _used(used) if used else None,
        "running": running,
        "slowdown": round(row.slowdown, 2),
        "closed_until": time(row.closed_until),
        "breaker": row.breaker,
        "mode": _mode(row),
        "holds": row.holds,
        "waiting": row.waiting,
        "oldest_at": time(row.oldest_at),
        "per_s": round(row.per_s, 3),
        "slots": row.slots,
    }


def _used(row: TenantDay) -> answers.UsedToday:
    return {"tokens": row.tokens, "cost_usd": float(row.cost_usd)}


def queue(lag: gates.Lag) -> answers.Queue:
    """Return how far the workers of a queue are behind; as long as nothing was measured, zeros."""
    row = lag.limit or Limit(name=lag.queue)
    age_s = (clock.now() - row.oldest_at).total_seconds() if row.oldest_at else 0
    return {
        "queue": lag.queue,
        "waiting": row.waiting,
        "oldest_at": time(row.oldest_at),
        "oldest_age_s": round(max(age_s, 0), 3),
        "per_s": round(row.per_s, 3),
        "slots": row.slots,
        "running": lag.running,
        "published": lag.published,
        "mode": _mode(row),
    }


def _mode(row: Limit) -> answers.KeyState:
    return {"mode": row.mode, "by": row.mode_by or None, "reason": row.mode_reason or None, "since": time(row.mode_at)}


def _per_min(seconds: float | None) -> float | None:
    # The reciprocal of a reciprocal is not quite the number that somebody had entered.
    return round(60 / seconds, 6) if seconds else None
