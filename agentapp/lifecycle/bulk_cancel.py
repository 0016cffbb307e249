"""Bulk cancellation: (new) -> running -> done | aborted. The tasks in it make the move of a single one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from agentapp.errors import IllegalMove
from agentapp.lifecycle import bulk_work
from agentapp.lifecycle.cancel import cancel as cancel_task
from agentapp.models import BulkCancellation, History

Fate = Literal["cancelled", "skipped", "failed"]


def start(
    *, tenant_id: int | None, wanted: dict[str, Any], tasks: Sequence[UUID], left_out: int, reason: str, actor: str
) -> BulkCancellation:
    """Write down that these tasks are to be cancelled; the dispatcher does it. `wanted` is the filter that they fitted,
    `left_out` how many more there were. Raises IllegalMove like bulk_work.begin."""
    row = BulkCancellation(
        tenant_id=tenant_id, waiting=[str(task) for task in tasks], actor=actor, task_reason=reason,
        selection={"total": len(tasks), "left_out": left_out},
    )  # fmt: skip
    return bulk_work.begin(row, asked={"filter": wanted})


def cancel(row: BulkCancellation, task: UUID) -> Fate:
    """Cancel one task of a bulk cancellation, in a commit of its own; one that is over by now is skipped.

    A process that dies before `count` finds the same task again, sees by its history what has cancelled it, and counts
    it as it would have done.
    """
    reason = f"{row.task_reason or 'cancelled with others'} ({row})"
    try:
        cancel_task(task, actor=row.actor, reason=reason)
    except IllegalMove:
        past = History.objects.filter(workflow_id=task, noun="workflow", to_state="cancelled", reason=reason)
        return "cancelled" if past.exists() else "skipped"
    return "cancelled"


def count(row_id: UUID, fates: Mapping[str, Fate]) -> int:
    """Write down what has become of these, and return how many of them nobody had counted."""
    with bulk_work.locked(BulkCancellation, row_id) as row:
        counted = [fates[task] for task in row.waiting if task in fates]
        row.waiting = [task for task in row.waiting if task not in fates]
        row.cancelled += counted.count("cancelled")
        row.skipped += counted.count("skipped")
        row.failed += counted.count("failed")
        row.save(update_fields=["waiting", "cancelled", "skipped", "failed"])
    return len(counted)
