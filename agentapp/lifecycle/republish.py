"""available -> available: its message is published again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from agentapp import ids
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.policies import fingerprint
from agentapp.states import JobState

SUSPECT_AFTER_S = 1
OVERDUE_AFTER_S = 10
LONGEST_BACKOFF_S = 300
# A deployment may leave old workers beside a new web for a while.
GIVEN_UP_AFTER_S = 3_600
GIVEN_UP_AFTER = 10


def suspects(*, limit: int, but_not: Sequence[UUID | str] = ()) -> dict[tuple[str, int], list[Job]]:
    """Return, by queue and priority, available jobs published more than a second ago, oldest first.

    At most `limit` of each, because many old messages in one list must not hide a lost one in another.
    """
    excluded = [UUID(str(key)) for key in but_not]
    answer = database.call("suspects", after_s=SUSPECT_AFTER_S, limit=limit, but_not=excluded)
    found = [_suspect(row) for row in answer["jobs"]]
    return {place: list(group) for place, group in groupby(found, key=lambda job: (job.queue, job.priority))}


def _suspect(row: dict[str, Any]) -> Job:
    return Job(
        id=UUID(row["id"]), workflow_id=UUID(row["workflow_id"]), queue=row["queue"], type=row["type"],
        priority=row["priority"], publishes=row["publishes"], published_at=datetime.fromisoformat(row["published_at"]),
        available_at=datetime.fromisoformat(row["available_at"]),
    )  # fmt: skip


def lost(suspects: list[Job], count: int, oldest: Iterable[str], moment: datetime) -> list[Job]:
    """Return those of one list whose message is lost at this moment of Postgres: `count` messages are there, the
    `oldest` of these jobs."""
    first = oldest_waiting(oldest) if count else None
    return [job for job in suspects if is_lost(job, count, first, moment)]


def is_lost(job: Job, count: int, oldest: datetime | None, moment: datetime) -> bool:
    """Tell whether a job's message is lost, and its time to be published again has come.

    A worker that takes its messages and never claims it, because it does not know its type yet, gets them ever
    more slowly.
    """
    if not has_waited(job, SUSPECT_AFTER_S, moment):
        return False
    if not count:
        return True
    return is_behind(job, oldest) if oldest else has_waited(job, OVERDUE_AFTER_S, moment)


def oldest_waiting(job_ids: Iterable[str]) -> datetime | None:
    """Return when the oldest of these messages was published, or None when their jobs do not tell.

    Only a job that was published once tells: of another, an earlier message may be meant.
    """
    known = [found for found in map(ids.parsed, job_ids) if found]
    waiting = Job.objects.filter(pk__in=known, state=JobState.AVAILABLE, publishes=1, published_at__isnull=False)
    return waiting.order_by("published_at").values_list("published_at", flat=True).first()


def is_behind(job: Job, oldest: datetime) -> bool:
    """Tell whether a job's message should have left its queue before the oldest one that is still there."""
    return job.published_at is not None and job.published_at < oldest - timedelta(seconds=SUSPECT_AFTER_S)


def has_waited(job: Job, first_s: float, moment: datetime) -> bool:
    """Tell whether a job has waited since its last message: `first_s` after the first, then twice as long each time."""
    wait_s = min(LONGEST_BACKOFF_S, first_s * 2 ** min(job.publishes - 1, 20))
    return job.published_at is not None and job.published_at < moment - timedelta(seconds=wait_s)


def published_before(
    moment: datetime, *, since: datetime | None, limit: int, but_not: Sequence[UUID | str] = ()
) -> list[Job]:
    """Return available jobs whose last message is older than `moment` but not than `since`, urgent ones first."""
    jobs = Job.objects.filter(state=JobState.AVAILABLE, published_at__lt=moment).exclude(pk__in=but_not)
    if since is not None:
        jobs = jobs.filter(published_at__gte=since)
    jobs = jobs.only("id", "workflow_id", "type", "queue", "publishes", "available_at")
    return list(jobs.order_by("priority", "id")[:limit])


def again(job: Job) -> Opened | None:
    """Count another publishing and return what to publish; None when the job was claimed in the meantime."""
    answer = database.call("publish_again", job=job.pk, publishes=job.publishes)
    return Opened.of(answer) if answer["status"] == "ok" else None


def is_unclaimed(job: Job) -> bool:
    """Tell whether a job's messages have been taken for so long, and it was not claimed, that a person must look."""
    since = job.available_at
    if since is None or job.publishes < GIVEN_UP_AFTER:
        return False
    return since < database.now() - timedelta(seconds=GIVEN_UP_AFTER_S)


def give_up(job: Job, *, actor: str) -> Opened | None:
    """Make a dead letter of a job that no worker claims, and return what follows; None when one has claimed it now."""
    message = (
        f"{job.publishes} messages were taken by workers of the class {job.queue}, and none has claimed it: "
        f"they do not know the job type {job.type}. Start workers of a release that has it, then replay."
    )
    error = {
        "class": "NotClaimed", "kind": "permanent", "message": message,
        "fingerprint": fingerprint.of(job.type, "NotClaimed", ""),
    }  # fmt: skip
    answer = database.call(
        "give_up_unclaimed", workflow=job.workflow_id, job=job.pk, actor=actor, publishes=job.publishes, error=error,
        reason="no worker claims it",
    )  # fmt: skip
    return Opened.of(answer) if answer["status"] == "ok" else None


def remaining(job_id: UUID) -> Opened:
    """Return what is to be published for one available job."""
    return Opened.of(database.call("remaining", job=job_id))


def returned(job_id: str) -> Opened | None:
    """Return what to publish for a message that a worker took and did not act on; None when there is nothing due."""
    known = ids.parsed(job_id)
    if known is None or not Job.objects.filter(pk=known, state=JobState.AVAILABLE).exists():
        return None
    return remaining(known)
