"""anything unfinished -> cancelled"""

from __future__ import annotations

from uuid import UUID

from agentapp.errors import IllegalMove
from agentapp.lifecycle import database


def cancel(workflow_id: UUID, *, actor: str, reason: str) -> None:
    """End a task: what waits is cancelled at once, what runs can no longer store a result.

    Raises:
        IllegalMove: the task is already over.
    """
    answer = database.call("cancel", workflow=workflow_id, actor=actor, reason=reason)
    if answer["status"] != "ok":
        raise IllegalMove(f"This task is already {answer['state']}; there is nothing left to cancel.")
