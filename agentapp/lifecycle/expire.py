"""Whatever is unfinished -> failed, by a rule: a deadline has passed, or nobody decided in time. [D9]"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from agentapp.lifecycle import database
from agentapp.models import Approval, Workflow
from agentapp.states import ApprovalState


def overdue(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[UUID]:
    """Return the tasks that should be over by now: past their deadline, or waiting for an approval that has expired."""
    moment = database.moment()
    late = (
        Workflow.objects.filter(finished_at=None, deadline_at__lte=moment)
        .exclude(pk__in=but_not)
        .order_by("deadline_at")
    )
    undecided = Approval.objects.filter(state=ApprovalState.PENDING, expires_at__lte=moment)
    undecided = undecided.exclude(workflow_id__in=but_not)
    found = [
        *late.order_by("deadline_at").values_list("pk", flat=True)[:limit],
        *undecided.order_by("expires_at").values_list("workflow_id", flat=True)[:limit],
    ]
    return list(dict.fromkeys(found))


def expire(workflow_id: UUID, *, actor: str) -> str | None:
    """Fail a task that is overdue and return why; None when it is not, or no longer."""
    answer = database.call("expire", workflow=workflow_id, actor=actor)
    return str(answer["reason"]) if answer["status"] == "ok" else None
