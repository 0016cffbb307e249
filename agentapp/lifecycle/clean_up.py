"""cancelled -> cancelled: what its job type has to clean up is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job
from agentapp.states import JobState

# A clean-up that keeps failing is tried at twice the age each time, at least this many seconds apart.
SHORTEST_WAIT_S = 30
GIVEN_UP_AFTER = timedelta(days=1)
NOBODY = UUID(int=0)


def _waiting(moment: datetime | Now) -> QuerySet[Job]:
    return Job.objects.filter(state=JobState.CANCELLED, clean_up_at__lte=moment).order_by("clean_up_at")


LOOK = Look(_waiting)


def due(*, limit: int, but_not: Sequence[UUID | str] = ()) -> list[Job]:
    """Return cancelled jobs whose clean-up nobody has reported, though it is time."""
    if not LOOK.finds_any():
        return []
    jobs = _waiting(database.moment()).exclude(pk__in=but_not)
    return list(jobs.only("id", "queue", "type", "finished_at", "clean_up_at", "error")[:limit])


def ask(job: Job) -> bool:
    """Note that a worker is asked to clean up now, and when it is asked again. False: somebody else was faster."""
    moment = database.now()
    age_s = (moment - job.finished_at).total_seconds() if job.finished_at else 0
    if age_s > GIVEN_UP_AFTER.total_seconds():
        error = {"class": "CleanUpFailed", "kind": "permanent", "message": "its clean-up did not succeed within a day"}
        database.call("ask_clean_up", job=job.pk, due=job.clean_up_at, error=error)
        return False
    again = moment + timedelta(seconds=max(SHORTEST_WAIT_S, age_s))
    return bool(database.call("ask_clean_up", job=job.pk, due=job.clean_up_at, again=again)["status"] == "ok")


def take(job_id: UUID) -> Claimed | None:
    """Return a cancelled job that is still to be cleaned up, as a body's context needs it."""
    job = Job.objects.filter(pk=job_id, state=JobState.CANCELLED).exclude(clean_up_at=None)
    found = job.select_related("workflow").first()
    if found is None:
        return None
    return Claimed(
        id=found.pk, workflow_id=found.workflow_id, tenant_id=found.tenant_id, kind=found.workflow.kind,
        type=found.type, queue=found.queue, token=NOBODY, attempt=found.attempt, max_attempts=found.max_attempts,
        timeout_s=found.timeout_s, payload=found.payload or {}, root_id=found.workflow.root or found.workflow_id,
        checkpoint=found.checkpoint, replay=found.replay,
    )  # fmt: skip


def done(job_id: UUID) -> None:
    """Its clean-up succeeded."""
    Job.objects.filter(pk=job_id).update(clean_up_at=None)
