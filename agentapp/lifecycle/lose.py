"""running -> available | retryable | dead_lettered, for a worker that no longer renews its lease."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from agentapp import registry
from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.requests import SettleRequest
from agentapp.models import Attempt, History, Job
from agentapp.policies import fingerprint, retry
from agentapp.policies.liveness import Silent
from agentapp.states import AttemptOutcome, JobState

# Of a worker behind a connection pooler: so many missed heartbeats are a sign of its death.
UNSEEN_HEARTBEATS = 5
NEEDED = ("id", "workflow_id", "attempt", "max_attempts", "type", "worker", "process", "lease_token")


def _run_out(moment: datetime | Now) -> QuerySet[Job]:
    return Job.objects.filter(state=JobState.RUNNING, lease_expires_at__lt=moment).order_by("id")


LOOK = Look(_run_out)


def expired(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[Job]:
    """Return running jobs whose lease has run out, oldest first."""
    if not LOOK.finds_any():
        return []
    return list(_run_out(database.moment()).exclude(pk__in=but_not).only(*NEEDED)[:limit])


def postgres_up_s() -> float:
    """Return for how many seconds Postgres has been up."""
    return float(database.call("postgres_uptime")["seconds"])


def silent(*, heartbeat_s: float) -> dict[int, Silent]:
    """Return the processes that hold leases but not their lock; behind a pooler, where no lock tells anything, those
    that have missed several heartbeats."""
    found = database.call("silent_processes", unseen_s=heartbeat_s * UNSEEN_HEARTBEATS)
    return {int(process): Silent(item["leases"], item["unseen_s"] or 0.0) for process, item in found.items()}


def held_by(process: int) -> list[Job]:
    """Return the running jobs of a process."""
    return list(Job.objects.filter(state=JobState.RUNNING, process=process).only(*NEEDED).order_by("id"))


def running_at(worker: str) -> list[Job]:
    """Return the running jobs of a worker by its name with process id."""
    return list(Job.objects.filter(state=JobState.RUNNING, worker=worker).only(*NEEDED).order_by("id"))


def losses(jobs: Sequence[Job]) -> dict[UUID, int]:
    """Return how often in a row each of these was lost before, counted or not, since it was replayed last."""
    ids = [job.pk for job in jobs]
    replays = History.objects.filter(job_id__in=ids, noun="job", from_state=JobState.DEAD_LETTERED).order_by()
    replayed = dict(replays.values_list("job_id").annotate(Max("at")))
    attempts = Attempt.objects.filter(job__in=ids).exclude(outcome=AttemptOutcome.HANDED_BACK)
    found = dict.fromkeys(ids, 0)
    over: set[UUID] = set()
    for job_id, outcome, ended in attempts.order_by("-started_at", "-number").values_list(
        "job", "outcome", "started_at"
    ):
        if outcome != AttemptOutcome.LOST or (job_id in replayed and ended <= replayed[job_id]):
            over.add(job_id)
        elif job_id not in over:
            found[job_id] += 1
    return found


def beside(jobs: Sequence[Job], lost: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return, for each of these that was not alone in its process, how often the others there were lost at most."""
    processes: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.process is not None:
            processes[job.process].append(job)
    return {
        job.pk: max(lost[other.pk] for other in together if other is not job)
        for together in processes.values() if len(together) > 1 for job in together
    }  # fmt: skip


def lose(
    job: Job, *, actor: str, seen: datetime | None = None, is_certain: bool = False,
    lost_before: int | None = None, beside: int | None = None,
) -> Opened | None:  # fmt: skip
    """End the attempt of a lost worker: the job is available again at once, after a second loss in a row with a
    back-off, and a dead letter when its attempts are used up.

    The lease must have run out; or still be as `seen`, for a process that was found dead; or merely be the same one,
    where it `is_certain` that the process has ended. `lost_before` and `beside` are as in policies.retry.after_loss.
    Returns what to publish, None when the lease turned out to live.
    """
    before = losses([job])[job.pk] if lost_before is None else lost_before
    answer = database.call(
        "lose", ending=vars(_ending(job, before, beside)), actor=actor, is_certain=is_certain, process=job.process,
        seen=seen,
    )  # fmt: skip
    return None if answer["status"] != "ok" else Opened.of(answer)


def _ending(job: Job, lost_before: int, beside: int | None) -> SettleRequest:
    """How the attempt ends, which its token names: another one, which has begun since, is another decision."""
    known = registry.job_types.get(job.type)
    # The cap was frozen with the plan; the table of waits is the code's.
    table = (known.retry if known else retry.RetryPolicy()).backoff_s
    policy = retry.RetryPolicy(max_attempts=job.max_attempts, backoff_s=table)
    decision = retry.after_loss(policy, attempt=job.attempt, lost_before=lost_before, beside=beside)
    if isinstance(decision.then, retry.GiveUp):
        to, reason, wait_s = JobState.DEAD_LETTERED, decision.then.reason, 0.0
    else:
        wait_s = decision.then.seconds * (1 + decision.jitter * random.random())  # noqa: S311 - jitter
        to, reason = (JobState.RETRYABLE, "worker lost again") if wait_s else (JobState.AVAILABLE, "worker lost")
    if not decision.is_counted:
        reason += ", with others; not counted"
    error = {
        "class": "WorkerLost", "kind": "transient", "message": f"{job.worker} ended before the job did",
        "fingerprint": fingerprint.of(job.type, "WorkerLost", ""),
    }  # fmt: skip
    return SettleRequest(
        workflow=str(job.workflow_id), job=str(job.id), token=str(job.lease_token), state=to.value,
        outcome=AttemptOutcome.LOST.value, error=error, retry_in_s=wait_s, reason=reason,
        is_counted=decision.is_counted, watched=False,
    )  # fmt: skip
