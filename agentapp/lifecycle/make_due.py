"""retryable | scheduled -> available"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from agentapp import registry
from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.states import JobState


def _waiting(moment: datetime | Now) -> QuerySet[Job]:
    return Job.objects.filter(state__in=(JobState.RETRYABLE, JobState.SCHEDULED), scheduled_at__lte=moment).order_by(
        "scheduled_at"
    )


LOOK = Look(_waiting)


def due(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[Job]:
    """Return the jobs whose back-off or schedule is over."""
    if not LOOK.finds_any():
        return []
    jobs = _waiting(database.moment())
    return list(jobs.exclude(pk__in=but_not).only("id", "workflow_id")[:limit])


def make_due(job: Job, *, actor: str) -> Opened | None:
    """Make one of `due()` available; None when another process was faster."""
    answer = database.call("make_due", workflow=job.workflow_id, job=job.pk, actor=actor)
    return Opened.of(answer) if answer["status"] == "ok" else None


def wake_parked(*, limit: int) -> int:
    """Make parked jobs due that no gate would put off any more, and return how many.

    The moment until which they wait was named by a gate when they were parked. Since then another model may have been
    chosen for them, or a person have resumed the key.
    """
    woken: int = database.call("wake_parked", asking=registry.asking(), limit=limit)["woken"]
    return woken
