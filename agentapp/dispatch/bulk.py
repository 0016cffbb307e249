"""Bulk replays go on: what has ended is counted, and the next jobs are replayed or none any more."""

from __future__ import annotations

import logging
from uuid import UUID

from agentapp.dispatch import publisher
from agentapp.dispatch.sweep import Sweep
from agentapp.errors import IllegalMove
from agentapp.lifecycle import bulk
from agentapp.lifecycle.opened import Opened
from agentapp.observability import events
from agentapp.policies import bulk as policy
from agentapp.policies.bulk import Abort, Done, Release
from agentapp.states import BulkReplayState

# One commit each: more at once would keep the dispatcher from its other duties.
MOST_AT_ONCE = 50


UNFINISHED = Sweep[UUID]("bulk replays", key=lambda row: row)
RELEASED = Sweep[Opened]("replayed jobs", key=lambda opened: opened.jobs[0].id if opened.jobs else "")


def go_on() -> int:
    """Take every bulk replay one move further, and return how many moved."""
    return UNFINISHED.each(bulk.unfinished(), _move)


def _move(row_id: UUID) -> int:
    row = bulk.observe(row_id)
    if row.finished_at is not None:
        return 0
    try:
        match policy.decide(bulk.progress(row), canary=row.canary, batch=row.batch):
            case Release(count):
                RELEASED.each(bulk.release(row, min(count, MOST_AT_ONCE)), publisher.publish)
            case Abort(reason):
                bulk.end(row_id, BulkReplayState.ABORTED, reason=reason)
                events.emit("bulk_replay.aborted", level=logging.ERROR, bulk_replay=row_id, reason=reason)
            case Done():
                bulk.end(row_id, BulkReplayState.DONE)
                events.emit("bulk_replay.done", bulk_replay=row_id)
            case _:
                return 0
    except IllegalMove:
        # Somebody aborted it meanwhile.
        return 0
    return 1
