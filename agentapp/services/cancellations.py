"""Cancel many tasks: those that a filter describes, the oldest first, some at a time.

Nothing is kept between two requests. What was cancelled no longer fits the filter, so that the same request once more
goes on where the last one has ended, whatever became of its answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp.dispatch import waking
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle.cancel import cancel as cancel_task
from agentapp.models import Workflow
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.services import task_filters, workflows
from agentapp.services.principals import Principal
from agentapp.states import WORKFLOW_FINAL, WorkflowState

OPEN = tuple(state.value for state in WorkflowState if state not in WORKFLOW_FINAL)
MOST_AT_ONCE = 100
# A request that takes longer may meet the time limit of a proxy, and then nobody learns what it has done.
LONGEST_S = 10.0


@dataclass
class Outcome:
    """What became of the tasks of one request. `skipped` were over before their turn came."""

    cancelled: list[UUID] = field(default_factory=list)
    skipped: int = 0


def matching(
    principal: Principal,
    *,
    state: Sequence[str] = (),
    kind: Sequence[str] = (),
    label: dict[str, str] | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> QuerySet[Workflow]:
    """Return the open tasks that a filter describes, the oldest first.

    Raises:
        InvalidInput: it describes all tasks; who means that says so by naming all open states.
        PermissionDenied: the scope tasks:read or tasks:write is missing.
    """
    principal.require("tasks:write")
    given: dict[str, Any] = {
        "state": state, "kind": kind, "label": label, "created_after": created_after, "created_before": created_before,
    }  # fmt: skip
    if not any(given.values()):
        raise InvalidInput.at("filter", f"Say which: name at least one of {', '.join(given)}.")
    rows = workflows.listing(principal).filter(finished_at=None, state__in=OPEN)
    return task_filters.matching(principal, rows, **given).order_by("id")


def cancel(principal: Principal, rows: QuerySet[Workflow], *, reason: str, most: int) -> Outcome:
    """Cancel up to `most` of these tasks, each in a commit of its own. One that is locked is left for the next time."""
    principal.require("tasks:write")
    outcome, until = Outcome(), time.monotonic() + LONGEST_S
    for workflow_id in list(rows.values_list("pk", flat=True)[: min(most, MOST_AT_ONCE)]):
        with faults.caught(Fault.CONTENTION, Fault.LIMIT):
            try:
                cancel_task(workflow_id, actor=principal.actor, reason=reason or "cancelled with others")
                outcome.cancelled.append(workflow_id)
            except IllegalMove:
                outcome.skipped += 1
        if time.monotonic() > until:
            break
    # Their slots are free: others may have waited for them.
    waking.wake()
    return outcome
