"""scheduled -> pending"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Workflow
from agentapp.states import WorkflowState


def due(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[UUID]:
    """Return the tasks whose time has come, the earliest first."""
    waiting = Workflow.objects.filter(state=WorkflowState.SCHEDULED, run_at__lte=database.moment())
    return list(waiting.exclude(pk__in=but_not).order_by("run_at").values_list("pk", flat=True)[:limit])


def begin(workflow_id: UUID, *, actor: str) -> Opened | None:
    """Open the first stage of one of `due()`; None when another process was faster."""
    answer = database.call("begin_scheduled", workflow=workflow_id, actor=actor)
    return Opened.of(answer) if answer["status"] == "ok" else None
