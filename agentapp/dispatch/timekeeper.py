"""What is over its time is ended, loudly; before that, people are reminded of what waits for them."""

from __future__ import annotations

import logging
from uuid import UUID

from agentapp.dispatch import approval_spans, publisher
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import database, expire
from agentapp.lifecycle import remind as remind_move
from agentapp.models import Approval
from agentapp.observability import events, tracing

BATCH = 200
ACTOR = "dispatcher"

REMINDERS = Sweep[Approval](
    "approval reminders", key=lambda approval: approval.pk, workflow=lambda approval: approval.workflow_id
)
OVERDUE = Sweep[UUID]("overdue tasks", key=lambda workflow: workflow, workflow=lambda workflow: workflow)


def expire_overdue() -> int:
    """Fail tasks whose deadline has passed or whose approval has expired, and return how many."""
    return OVERDUE.each(expire.overdue(limit=BATCH, but_not=OVERDUE.set_aside()), _expire)


def _expire(workflow_id: UUID) -> bool:
    before = database.now() if tracing.is_on() else None
    ended = expire.expire(workflow_id, actor=ACTOR)
    if ended is None:
        return False
    if before is not None:
        approval_spans.add_decided(workflow_id, since=before)
    reason, opened = ended
    if reason == expire.QUESTIONS:
        events.emit("approval.expired", level=logging.WARNING, workflow=workflow_id)
    else:
        events.emit("workflow.expired", level=logging.ERROR, workflow=workflow_id, reason=reason)
    publisher.publish(opened)
    return True


def remind() -> int:
    """Remind of approvals that wait, or escalate them, and return how many."""
    return REMINDERS.each(remind_move.due(limit=BATCH, but_not=REMINDERS.set_aside()), _remind)


def _remind(approval: Approval) -> bool:
    said = remind_move.remind(approval, actor=ACTOR)
    if said == "escalated":
        events.emit("approval.escalated", workflow=approval.workflow_id, approval=approval.pk)
    elif said == "reminded":
        events.emit("approval.reminded", workflow=approval.workflow_id, approval=approval.pk)
    return said is not None
