"""What is over its time is ended, loudly."""

from __future__ import annotations

import logging

from agentapp.lifecycle import expire
from agentapp.observability import events

BATCH = 200
ACTOR = "dispatcher"


def expire_overdue() -> int:
    """Fail tasks whose deadline has passed or whose approval has expired, and return how many."""
    ended = 0
    for workflow_id in expire.overdue(limit=BATCH):
        reason = expire.expire(workflow_id, actor=ACTOR)
        if reason:
            events.emit("workflow.expired", level=logging.ERROR, workflow=workflow_id, reason=reason)
            ended += 1
    return ended
