"""Why a task waits, in sentences, with a link where somebody can act on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.text import capfirst

from agentapp import clock
from agentapp.admin import actors, cells
from agentapp.admin.limits import page_of_key
from agentapp.models import Workflow
from agentapp.services import reasons

Reason = dict[str, Any]
# So many jobs of its tenant that go first are counted.
_COUNTED = 1_000
_STOPPED = {
    "paused": "is paused: no job starts",
    "draining": "is draining: only tasks that have started continue",
}


@dataclass
class Wait:
    """A sentence, how many jobs wait for the same, and who holds what they wait for."""

    words: str
    url: str = ""
    times: int = 1
    holders: list[Reason] = field(default_factory=list)
    at: datetime | None = None


def of(workflow: Workflow, *, with_limits: bool) -> list[Wait]:
    """Why one task waits."""
    told = reasons.blocked_by([workflow])[workflow.pk]
    return sentences(told, tenant_id=workflow.tenant_id, with_limits=with_limits, who=names(told))


def names(told: Iterable[Reason]) -> dict[str, str]:
    """Who has stopped what, by name: one statement for all."""
    return actors.names(reason["by"] for reason in told if reason.get("by"))


def sentences(told: list[Reason], *, tenant_id: int, with_limits: bool, who: dict[str, str]) -> list[Wait]:
    """The reasons in sentences, equal ones once with their number; `with_limits`: linked to the page of the key.

    `who` are the names of those who have stopped something.
    """
    found: dict[tuple[Any, ...], Wait] = {}
    for reason in told:
        known = found.get(like := _like(reason))
        if known:
            known.times += 1
            continue
        url = _url_of_limit(reason, tenant_id) if with_limits and reason.get("type") == "gate" else _url(reason)
        found[like] = Wait(
            words(reason, who=who), url, holders=reason.get("holders", []),
            at=reason.get("until") or reason.get("expires_at"),
        )  # fmt: skip
    return list(found.values())


def _like(reason: Reason) -> tuple[Any, ...]:
    """What two reasons that are told once have in common."""
    names = {
        "approval": ("id",), "dead_letter": ("id",), "task": ("id",), "retry": ("job_type",), "effect": ("job_type",),
        "hold": ("job",),
        "queue": ("queue",),
    }  # fmt: skip
    kind = reason.get("type", "")
    return kind, *(reason.get(name) for name in names.get(kind, ("scope", "name", "why")))


def _url(reason: Reason) -> str:
    pages = {
        "approval": "admin:agentapp_approval_change", "dead_letter": "admin:agentapp_deadletter_change",
        "task": "admin:agentapp_workflow_change",
    }  # fmt: skip
    page = pages.get(reason.get("type", ""))
    return reverse(page, args=(reason["id"],)) if page else ""


def _url_of_limit(reason: Reason, tenant_id: int) -> str:
    scope = str(reason.get("scope"))
    # In a reason a tenant has its slug.
    keys = {"global": "global", "tenant": f"tenant:{tenant_id}", "budget": f"budget:{tenant_id}"}
    return page_of_key(keys.get(scope, f"{scope}:{reason.get('name')}"))


def words(reason: Reason, *, who: Mapping[str, str]) -> str:
    """Turn one reason into a sentence."""
    due = cells.until_words(reason.get("until"))
    match reason.get("type"):
        case "time":
            return f"It starts {due}."
        case "approval":
            expires_at = reason.get("expires_at")
            expires = f"; the approval expires {cells.until_words(expires_at)}" if expires_at else ""
            asked = f" what {reason['job_type']} has asked" if reason.get("job_type") else ""
            return f"A person must decide{asked}{expires}."
        case "dead_letter":
            return "A job is a dead letter: replay it or cancel the task."
        case "retry":
            return f"{reason.get('job_type', 'A job')} failed and is tried again {due}."
        case "effect":
            return (
                f"{reason.get('job_type', 'A job')} waits for a send of its effect that is on its way; it looks again "
                f"{due}."
            )
        case "hold":
            return f"It was approved and is sent {due}: the approval can be withdrawn."
        case "task":
            return "A task that is a part of it is not over."
        case "queue":
            return _queue(reason)
        case "gate":
            return f"{capfirst(cells.key(reason['scope'], reason['name']))} {_gate(reason, who)}"
    rest = ", ".join(f"{name} {value}" for name, value in reason.items() if name != "type")
    kind = str(reason.get("type", "")).replace("_", " ").capitalize()
    return f"{kind}: {rest}." if rest else f"{kind}."


def _queue(reason: Reason) -> str:
    if reason.get("why") == "not claimed":
        return (
            f"Workers of the class {reason.get('queue')} took {reason.get('messages')} messages and claimed nothing: "
            f"they may not know the job type {reason.get('job_type', '')}. It is tried again less and less often."
        )
    place = f"Work waits for a free worker of the class {reason.get('queue')}"
    ahead = (reason.get("position") or 0) - 1
    if ahead > 0:
        number = f"more than {_COUNTED:,}" if ahead >= _COUNTED else f"{ahead:,}"
        place += f", behind {number} other job{'s' if ahead > 1 else ''} of its tenant"
    return f"{place}; it should start {_soon(reason['until'])}." if reason.get("until") else f"{place}."


def _gate(reason: Reason, who: Mapping[str, str]) -> str:
    until, limit = reason.get("until"), reason.get("limit")
    match reason.get("why"):
        case "concurrency":
            return _full(reason)
        case "requests":
            return f"allows {cells.amount(limit or 0)} jobs per minute; the next one may start {_soon(until)}."
        case "tokens":
            return f"allows {cells.amount(limit or 0)} tokens per minute; the next job fits {_soon(until)}."
        case "paused" | "draining" as mode:
            since = f" since {cells.age(reason['since'])}" if reason.get("since") else ""
            why = f": {reason['reason'].rstrip('.')}" if reason.get("reason") else ""
            by = who.get(reason.get("by", ""), "an unknown person")
            return f"{_STOPPED[mode]}. By {by}{since}{why}."
        case "breaker":
            return f"failed too often, so nothing is sent; one call is tried {_soon(until)}."
        case "budget":
            return f"is used up for today (UTC); it continues {_soon(until)}, or when the budget is raised."
        case "provider":
            return f"was asked by its provider to wait; it continues {_soon(until)}."
    return f"does not let it pass ({reason.get('why')})."


def _full(reason: Reason) -> str:
    limit, running, others = reason.get("limit") or 0, reason.get("running") or 0, reason.get("held_by_others") or 0
    if limit <= 0:
        return "lets no job start: its limit is 0."
    taken = f"has no free slot: {running:,} of {limit:,} {'is' if running == 1 else 'are'} taken"
    if others:
        taken += f", {'all' if others >= running else f'{others:,}'} by other tenants"
    return f"{taken}; one should be free {_soon(reason['until'])}." if reason.get("until") else f"{taken}."


def _soon(moment: datetime | None) -> str:
    if moment is None:
        return "at an unknown time"
    return cells.until_words(moment) if moment > clock.now() else "at any moment"
