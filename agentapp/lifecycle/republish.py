"""available -> available: its message is published again."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby

from django.db.models import F

from agentapp import clock
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.states import JobState

SUSPECT_AFTER_S = 1
LONGEST_BACKOFF_S = 300


def suspects(*, limit: int) -> dict[str, list[Job]]:
    """Return, by queue, available jobs whose message was published more than a second ago or never, oldest first."""
    before = clock.now() - timedelta(seconds=SUSPECT_AFTER_S)
    jobs = Job.objects.filter(state=JobState.AVAILABLE, available_at__lt=before, published_at__lt=before)
    found = jobs.only("id", "workflow_id", "queue", "type", "published_at", "publishes").order_by(
        "queue", "available_at"
    )
    return {queue: list(group) for queue, group in groupby(found[:limit], key=lambda job: job.queue)}


def is_overdue(job: Job) -> bool:
    """Tell whether a message that may only be waiting has waited long enough to publish another."""
    wait_s = min(LONGEST_BACKOFF_S, 10 * 2 ** (job.publishes - 1))
    return job.published_at is not None and job.published_at < clock.now() - timedelta(seconds=wait_s)


def again(job: Job) -> Opened | None:
    """Count another publishing and return what to publish; None when the job was claimed in the meantime."""
    mine = Job.objects.filter(pk=job.pk, state=JobState.AVAILABLE, publishes=job.publishes)
    if not mine.update(publishes=F("publishes") + 1, published_at=clock.now()):
        return None
    return Opened.of(database.call("agentapp_remaining_v1", {"job": str(job.pk), "workflow": str(job.workflow_id)}))
