"""retryable | scheduled -> available"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.states import JobState


def due(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[Job]:
    """Return the jobs whose back-off or schedule is over."""
    jobs = Job.objects.filter(state__in=(JobState.RETRYABLE, JobState.SCHEDULED), scheduled_at__lte=database.moment())
    return list(jobs.exclude(pk__in=but_not).only("id", "workflow_id").order_by("scheduled_at")[:limit])


def make_due(job: Job, *, actor: str) -> Opened | None:
    """Make one of `due()` available; None when another process was faster."""
    answer = database.call("make_due", workflow=job.workflow_id, job=job.pk, actor=actor)
    return Opened.of(answer) if answer["status"] == "ok" else None
