"""running -> available | retryable | dead_lettered, for a worker that no longer renews its lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from agentapp import clock, registry
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Attempt, Job
from agentapp.policies import fingerprint, retry
from agentapp.policies.liveness import Silent
from agentapp.states import AttemptOutcome, JobState

# Of a worker behind a connection pooler: so many missed heartbeats are a sign of its death.
UNSEEN_HEARTBEATS = 5
NEEDED = ("id", "workflow_id", "attempt", "max_attempts", "type", "worker", "process", "lease_token")


def expired(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[Job]:
    """Return running jobs whose lease has run out, oldest first."""
    moment = clock.fixed() or Now()
    jobs = Job.objects.filter(state=JobState.RUNNING, lease_expires_at__lt=moment)
    return list(jobs.exclude(pk__in=but_not).only(*NEEDED).order_by("id")[:limit])


def postgres_up_s() -> float:
    """Return for how many seconds Postgres has been up."""
    return float(database.call("postgres_uptime", {})["seconds"])


def silent(*, heartbeat_s: float) -> dict[int, Silent]:
    """Return the processes that hold leases but not their lock; behind a pooler, where no lock tells anything, those
    that have missed several heartbeats."""
    found = database.call("silent_processes", {"unseen_s": heartbeat_s * UNSEEN_HEARTBEATS})
    return {int(process): Silent(item["leases"], item["unseen_s"] or 0.0) for process, item in found.items()}


def held_by(process: int) -> list[Job]:
    """Return the running jobs of a process."""
    return list(Job.objects.filter(state=JobState.RUNNING, process=process).only(*NEEDED).order_by("id"))


def running_at(worker: str) -> list[Job]:
    """Return the running jobs of a worker by its name with process id."""
    return list(Job.objects.filter(state=JobState.RUNNING, worker=worker).only(*NEEDED).order_by("id"))


def lose(job: Job, *, actor: str, seen: datetime | None = None, is_certain: bool = False) -> Opened | None:
    """End the attempt of a lost worker: the job is available again at once, after a second loss in a row with a
    back-off, and a dead letter when its attempts are used up.

    The lease must have run out; or still be as `seen`, for a process that was found dead; or merely be the same one,
    where it `is_certain` that the process has ended. Returns what to publish, None when the lease turned out to live.
    """
    answer = database.call("settle", _settlement(job, actor) | _proof(job, seen, is_certain=is_certain))
    return None if answer["status"] != "ok" else Opened.of(answer)


def _proof(job: Job, seen: datetime | None, *, is_certain: bool) -> dict[str, Any]:
    """What must still be so behind the lock. The attempt that was decided about, always: another one, which has begun
    since, is another decision."""
    if is_certain:
        return {"token": str(job.lease_token)}
    proof: dict[str, Any] = {"seen_token": str(job.lease_token)}
    return proof | ({"process": job.process, "seen": seen.isoformat()} if seen is not None else {})


def _settlement(job: Job, actor: str) -> dict[str, Any]:
    decision = _decide(job)
    if isinstance(decision, retry.GiveUp):
        to, reason, wait_s = JobState.DEAD_LETTERED, decision.reason, 0.0
    else:
        to, reason, wait_s = JobState.AVAILABLE, "worker lost", decision.seconds
        if wait_s:
            to, reason = JobState.RETRYABLE, "worker lost again"
    return {
        "workflow": str(job.workflow_id), "job": str(job.id), "actor": actor, "effects": [], "reason": reason,
        "to": to.value, "outcome": AttemptOutcome.LOST.value, "retry_in_s": wait_s,
        "error": {
            "class": "WorkerLost", "kind": "transient", "message": f"{job.worker} ended before the job did",
            "fingerprint": fingerprint.of(job.type, "WorkerLost", ""),
        },
    }  # fmt: skip


def _decide(job: Job) -> retry.RetryIn | retry.GiveUp:
    known = registry.job_types.get(job.type)
    policy = known.retry if known else retry.RetryPolicy()
    # The cap was frozen with the plan; the table of waits is the code's.
    policy = retry.RetryPolicy(max_attempts=job.max_attempts, backoff_s=policy.backoff_s)
    return retry.after_loss(policy, attempt=job.attempt, lost_in_a_row=1 + _lost_before(job))


def _lost_before(job: Job) -> int:
    """How many attempts right before this one were lost, within the budget that runs now."""
    counted = Attempt.objects.filter(job=job, finished_at__isnull=False).exclude(outcome=AttemptOutcome.HANDED_BACK)
    before = list(counted.order_by("-started_at", "-number").values_list("outcome", flat=True)[: job.attempt - 1])
    others = [index for index, outcome in enumerate(before) if outcome != AttemptOutcome.LOST]
    return others[0] if others else len(before)
