"""The four numbers that tell whether somebody has to do something, and what is stopped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agentapp.admin import cells
from agentapp.admin.limits import badges, page_of_key
from agentapp.models import Approval, Job, Workflow
from agentapp.services import dispatchers, gates
from agentapp.services.principals import Principal
from agentapp.states import TASK_ORIGINS

_SHOWN_KEYS = 20


def counts(principal: Principal) -> dict[str, Any]:
    """Open tasks, waiting approvals, dead letters, and the age of the job that has waited longest for a worker."""
    runs_platform = gates.READ in principal.scopes
    since, queue = gates.oldest(principal) if runs_platform else _oldest_of(principal)
    return {
        "open_tasks": principal.visible(Workflow.objects.filter(finished_at=None, origin__in=TASK_ORIGINS)).count(),
        "approvals": principal.visible(Approval.objects.filter(state="pending")).count(),
        "dead_letters": principal.visible(Job.objects.filter(state="dead_lettered")).count(),
        "oldest_job": cells.age(since) if since else "none",
        "oldest_job_queue": queue,
        "stopped": stopped(principal) if runs_platform else [],
        "dispatcher": dispatchers.health() if runs_platform else None,
    }


def _oldest_of(principal: Principal) -> tuple[datetime | None, str]:
    """Since when the oldest waiting job of these tenants waits, and where."""
    waiting = principal.visible(Job.objects.filter(state="available", available_at__isnull=False))
    return waiting.order_by("available_at").values_list("available_at", "queue").first() or (None, "")


def stopped(principal: Principal) -> list[dict[str, Any]]:
    """Keys that somebody has stopped and breakers that are open, for who runs the platform."""
    return [
        {
            "key": cells.key(limit.scope, limit.name),
            "url": page_of_key(limit.key),
            "badges": badges(limit),
            "limit": limit,
        }
        for limit in gates.stopped(principal).order_by("scope", "name")[:_SHOWN_KEYS]
    ]
