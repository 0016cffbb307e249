"""Bulk replays go on: what has ended is counted, and the next jobs are replayed or none any more."""

from __future__ import annotations

import logging
from uuid import UUID

from agentapp.dispatch import publisher
from agentapp.dispatch.sweep import Sweep
from agentapp.errors import IllegalMove
from agentapp.lifecycle import bulk, bulk_work
from agentapp.models import BulkReplay, Job
from agentapp.observability import events
from agentapp.policies import bulk as policy
from agentapp.policies.bulk import Abort, Done, Release
from agentapp.states import BulkReplayState

# One commit each: more at once would keep the dispatcher from its other duties.
MOST_AT_ONCE = 50


UNFINISHED = Sweep[UUID]("bulk replays", key=lambda row: row)
WAITING = Sweep[Job]("jobs of bulk replays", key=lambda job: job.pk, workflow=lambda job: job.workflow_id)


def go_on() -> int:
    """Take every bulk replay one move further, and return how many moved."""
    return UNFINISHED.each(bulk_work.unfinished(BulkReplay), _move)


def _move(row_id: UUID) -> int:
    row = bulk.observe(row_id)
    if row.finished_at is not None:
        return 0
    try:
        match policy.decide(bulk.progress(row), canary=row.canary, batch=row.batch):
            case Release(count):
                return _release(row, min(count, MOST_AT_ONCE))
            case Abort(reason):
                bulk_work.end(BulkReplay, row_id, BulkReplayState.ABORTED, reason=reason)
                events.emit("bulk_replay.aborted", level=logging.ERROR, bulk_replay=row_id, reason=reason)
            case Done():
                bulk_work.end(BulkReplay, row_id, BulkReplayState.DONE)
                events.emit("bulk_replay.done", bulk_replay=row_id)
            case _:
                return 0
    except IllegalMove:
        # Somebody aborted it meanwhile.
        return 0
    return 1


def _release(row: BulkReplay, count: int) -> bool:
    """Replay up to `count` of those that wait, and tell whether any left the list. One that is locked or fails is tried
    again later."""
    chosen, jobs = bulk.next_waiting(row.pk, count, but_not=WAITING.set_aside())
    # A job that was deleted meanwhile leaves the list too.
    released = set(chosen) - {str(job.pk) for job in jobs}

    def replay(job: Job) -> bool:
        if not bulk_work.goes_on(BulkReplay, row.pk):
            return False
        publisher.publish(bulk.replay(row, job))
        released.add(str(job.pk))
        return True

    WAITING.each(jobs, replay)
    bulk.mark_replayed(row.pk, released)
    return bool(released)
