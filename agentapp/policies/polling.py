"""When it is worth to ask about a task again, and what of its answer is news."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentapp.states import WORKFLOW_FINAL, WorkflowState

# Seconds. A person takes longer than a worker.
PERSON_S = 30
WORK_S = 2
LONGEST_S = 3_600
# Of a reason to wait: estimates and counts that differ at each look, while the task still waits for the same thing.
DRIFTING = frozenset({"position", "until", "running", "holders", "held_by_others"})
FOR_A_PERSON = (WorkflowState.AWAITING_APPROVAL, WorkflowState.NEEDS_ATTENTION)
# Nothing more happens without a person, or at all.
AT_REST = frozenset({*WORKFLOW_FINAL, *FOR_A_PERSON})


def retry_after_s(state: str, *, starts_at: datetime | None, now: datetime) -> int | None:
    """Say in how many seconds to ask again; None for a task that is over.

    `starts_at` is when a task that has not begun begins, or should begin.
    """
    if state in WORKFLOW_FINAL:
        return None
    if state in FOR_A_PERSON:
        return PERSON_S
    if starts_at is None:
        return WORK_S
    left_s = math.ceil((starts_at - now).total_seconds())
    if state == WorkflowState.SCHEDULED:
        return max(1, min(left_s, LONGEST_S))
    # An estimate: it may be sooner.
    return max(WORK_S, min(left_s // 2, PERSON_S))


def news(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task, as the API shows it, without what differs at each look."""
    reasons = [{name: value for name, value in item.items() if name not in DRIFTING} for item in task["blocked_by"]]
    return {**task, "blocked_by": reasons, "estimated_start_at": None}
