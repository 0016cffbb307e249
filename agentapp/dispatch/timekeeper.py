"""What is over its time is ended, loudly."""

from __future__ import annotations

import logging
from uuid import UUID

from agentapp.dispatch import publisher
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import expire
from agentapp.observability import events

BATCH = 200
ACTOR = "dispatcher"

OVERDUE = Sweep[UUID]("overdue tasks", key=lambda workflow: workflow, workflow=lambda workflow: workflow)


def expire_overdue() -> int:
    """Fail tasks whose deadline has passed or whose approval has expired, and return how many."""
    return OVERDUE.each(expire.overdue(limit=BATCH, but_not=OVERDUE.set_aside()), _expire)


def _expire(workflow_id: UUID) -> bool:
    ended = expire.expire(workflow_id, actor=ACTOR)
    if ended is None:
        return False
    reason, opened = ended
    events.emit("workflow.expired", level=logging.ERROR, workflow=workflow_id, reason=reason)
    publisher.publish(opened)
    return True
