"""scheduled -> pending"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet, Window
from django.db.models.functions import Now, RowNumber

from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.lifecycle.opened import Opened
from agentapp.models import Workflow
from agentapp.states import WorkflowState


def _waiting(moment: datetime | Now) -> QuerySet[Workflow]:
    return Workflow.objects.filter(state=WorkflowState.SCHEDULED, run_at__lte=moment).order_by("run_at")


LOOK = Look(_waiting)


def due(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[UUID]:
    """Return tasks whose time has come: the earliest of each tenant, then the second of each, and so on. Ten thousand
    of one that are due at the same moment must not hold up the few of another."""
    if not LOOK.finds_any():
        return []
    turn = Window(RowNumber(), partition_by="tenant", order_by=("run_at", "pk"))
    in_turns = _waiting(database.moment()).exclude(pk__in=but_not).annotate(turn=turn).order_by("turn", "run_at")
    return list(in_turns.values_list("pk", flat=True)[:limit])


def begin(workflow_id: UUID, *, actor: str) -> Opened | None:
    """Open the first stage of one of `due()`; None when another process was faster."""
    answer = database.call("begin_scheduled", workflow=workflow_id, actor=actor)
    return Opened.of(answer) if answer["status"] == "ok" else None
