"""available -> available: its message is published again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from django.db.models import F

from agentapp import clock, ids
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.states import JobState

SUSPECT_AFTER_S = 1
LONGEST_BACKOFF_S = 300


def suspects(*, limit: int) -> dict[tuple[str, int], list[Job]]:
    """Return, by queue and priority, available jobs published more than a second ago or never, oldest first."""
    before = clock.now() - timedelta(seconds=SUSPECT_AFTER_S)
    jobs = Job.objects.filter(state=JobState.AVAILABLE, available_at__lt=before, published_at__lt=before)
    found = jobs.only("id", "workflow_id", "queue", "type", "priority", "published_at", "publishes").order_by(
        "queue", "priority", "published_at"
    )
    return {place: list(group) for place, group in groupby(found[:limit], key=lambda job: (job.queue, job.priority))}


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


def is_overdue(job: Job) -> bool:
    """Tell whether a message that may only be waiting has waited long enough to publish another."""
    wait_s = min(LONGEST_BACKOFF_S, 10 * 2 ** (job.publishes - 1))
    return job.published_at is not None and job.published_at < clock.now() - timedelta(seconds=wait_s)


def published_before(moment: datetime, *, since: datetime | None, limit: int) -> list[Job]:
    """Return available jobs whose last message is older than `moment` but not than `since`, urgent ones first."""
    jobs = Job.objects.filter(state=JobState.AVAILABLE, published_at__lt=moment)
    if since is not None:
        jobs = jobs.filter(published_at__gte=since)
    return list(jobs.only("id", "workflow_id", "type", "publishes").order_by("priority", "id")[:limit])


def again(job: Job) -> Opened | None:
    """Count another publishing and return what to publish; None when the job was claimed in the meantime."""
    mine = Job.objects.filter(pk=job.pk, state=JobState.AVAILABLE, publishes=job.publishes)
    if not mine.update(publishes=F("publishes") + 1, published_at=clock.now()):
        return None
    return remaining(job.pk)


def remaining(job_id: UUID) -> Opened:
    """Return what is to be published for one available job."""
    return Opened.of(database.call("remaining", {"job": str(job_id)}))


def returned(job_id: str) -> Opened | None:
    """Return what to publish for a message that a worker took and did not act on; None when there is nothing due."""
    known = ids.parsed(job_id)
    if known is None or not Job.objects.filter(pk=known, state=JobState.AVAILABLE).exists():
        return None
    return remaining(known)
