"""running -> available | dead_lettered, for a worker that no longer renews its lease."""

from __future__ import annotations

from django.db.models.functions import Now

from agentapp import clock
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.states import AttemptOutcome, JobState


def expired(*, limit: int = 200) -> list[Job]:
    """Return running jobs whose lease has run out, oldest first."""
    moment = clock.fixed() or Now()
    jobs = Job.objects.filter(state=JobState.RUNNING, lease_expires_at__lt=moment)
    return list(jobs.only("id", "workflow_id", "attempt", "max_attempts", "type", "worker").order_by("id")[:limit])


def lose(job: Job, *, actor: str) -> Opened | None:
    """End the attempt of a lost worker: the job is available again at once while attempts remain, else a dead letter.

    Returns what to publish, or None when the lease turned out to be alive.
    """
    left = job.attempt < job.max_attempts
    reason = "worker lost" if left else "worker lost, attempts exhausted"
    answer = database.call(
        "agentapp_settle_v1",
        {
            "workflow": str(job.workflow_id), "job": str(job.id), "actor": actor, "effects": [], "reason": reason,
            "to": (JobState.AVAILABLE if left else JobState.DEAD_LETTERED).value,
            "outcome": AttemptOutcome.LOST.value,
            "error": {"class": "WorkerLost", "kind": "transient", "message": f"{job.worker} no longer renews"},
        },
    )  # fmt: skip
    return None if answer["status"] == "lost" else Opened.of(answer)
