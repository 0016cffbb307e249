"""Whatever is unfinished -> failed, by a rule: a deadline has passed, or nobody decided in time. [D9]

By some policies nobody's decision is a rejection.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.lifecycle.opened import Opened
from agentapp.models import Approval, Workflow
from agentapp.states import ApprovalState


def _late(moment: datetime | Now) -> QuerySet[Workflow]:
    return Workflow.objects.filter(finished_at=None, deadline_at__lte=moment).order_by("deadline_at")


def _undecided(moment: datetime | Now) -> QuerySet[Approval]:
    return Approval.objects.filter(state=ApprovalState.PENDING, expires_at__lte=moment).order_by("expires_at")


# The reason where only questions of jobs have expired: the task goes on.
QUESTIONS = "questions"
LOOKS = (Look(_late), Look(_undecided))


def overdue(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[UUID]:
    """Return the tasks that should be over by now: past their deadline, or waiting for an approval that has expired."""
    if not any(look.finds_any() for look in LOOKS):
        return []
    moment = database.moment()
    late = _late(moment).exclude(pk__in=but_not)
    undecided = _undecided(moment).exclude(workflow_id__in=but_not)
    found = [
        *late.values_list("pk", flat=True)[:limit],
        *undecided.values_list("workflow_id", flat=True)[:limit],
    ]
    return list(dict.fromkeys(found))


def expire(workflow_id: UUID, *, actor: str) -> tuple[str, Opened] | None:
    """End the wait of a task that is overdue, or of its jobs for a person. Return why, and what to publish; None when
    nothing is overdue, or no longer."""
    answer = database.call("expire", workflow=workflow_id, actor=actor)
    return (str(answer["reason"]), Opened.of(answer)) if answer["status"] == "ok" else None
