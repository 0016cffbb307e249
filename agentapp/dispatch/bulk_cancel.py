"""Bulk cancellations go on: the next tasks are cancelled, until none waits any more."""

from __future__ import annotations

import logging
from uuid import UUID

from agentapp.dispatch import waking
from agentapp.dispatch.sweep import Sweep
from agentapp.errors import IllegalMove
from agentapp.lifecycle import bulk_cancel, bulk_work
from agentapp.lifecycle.bulk_cancel import Fate
from agentapp.models import BulkCancellation
from agentapp.observability import events
from agentapp.states import BulkCancellationState

# One commit each, and the list is written once for all.
MOST_AT_ONCE = 200
# A task that raises so often is given up, so that a bulk cancellation ends: the last try is a minute after the first.
TRIES = 5

UNFINISHED = Sweep[UUID]("bulk cancellations", key=lambda row: row)
WAITING = Sweep[str]("tasks of bulk cancellations", key=lambda task: task, workflow=UUID)


def go_on() -> int:
    """Take every bulk cancellation further, and return how many tasks left their lists."""
    return UNFINISHED.each(bulk_work.unfinished(BulkCancellation), _move)


def _move(row_id: UUID) -> int:
    row = BulkCancellation.objects.get(pk=row_id)
    if not row.waiting:
        return _end(row)
    chosen = bulk_work.next_waiting(BulkCancellation, row_id, MOST_AT_ONCE, but_not=WAITING.set_aside())
    fates: dict[str, Fate] = {}

    def cancel(task: str) -> bool:
        if not bulk_work.goes_on(BulkCancellation, row_id):
            return False
        fates[task] = bulk_cancel.cancel(row, UUID(task))
        return True

    try:
        WAITING.each(chosen, cancel)
    finally:
        # Their slots are free: others may have waited for them.
        waking.wake()
    fates |= dict.fromkeys(_given_up(chosen), "failed")
    return bulk_cancel.count(row_id, fates) if fates else 0


def _given_up(tasks: list[str]) -> list[str]:
    """Those that have raised too often. One that is only locked is waited for."""
    aside = {task: WAITING.aside[task] for task in tasks if task in WAITING.aside}
    return [task for task, item in aside.items() if item.error and item.tries >= TRIES]


def _end(row: BulkCancellation) -> int:
    try:
        bulk_work.end(BulkCancellation, row.pk, BulkCancellationState.DONE)
    except IllegalMove:
        # Somebody aborted it meanwhile.
        return 0
    level = logging.ERROR if row.failed else logging.INFO
    events.emit("bulk_cancellation.done", level=level, bulk_cancellation=row.pk, failed=row.failed)
    return 1
