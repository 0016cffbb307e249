"""retryable | scheduled -> available; anything unfinished -> cancelled"""

from __future__ import annotations

from uuid import UUID

from django.db.models.functions import Now

from agentapp import clock
from agentapp.errors import IllegalMove
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.states import JobState


def cancel(workflow_id: UUID, *, actor: str, reason: str) -> None:
    """End a task: what waits is cancelled at once, what runs can no longer store a result.

    Raises:
        IllegalMove: the task is already over.
    """
    answer = database.call("agentapp_cancel_v1", {"workflow": str(workflow_id), "actor": actor, "reason": reason})
    if answer["status"] != "ok":
        raise IllegalMove(f"This task is already {answer['state']}; there is nothing left to cancel.")


def due(*, limit: int = 200) -> list[Job]:
    """Return the jobs whose back-off or schedule is over."""
    jobs = Job.objects.filter(
        state__in=(JobState.RETRYABLE, JobState.SCHEDULED), scheduled_at__lte=clock.fixed() or Now()
    )
    return list(jobs.only("id", "workflow_id").order_by("scheduled_at")[:limit])


def make_due(job: Job, *, actor: str) -> Opened | None:
    """Make one of `due()` available; None when somebody else was faster."""
    answer = database.call(
        "agentapp_make_due_v1", {"workflow": str(job.workflow_id), "job": str(job.pk), "actor": actor}
    )
    return Opened.of(answer) if answer["status"] == "ok" else None
