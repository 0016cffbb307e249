"""What is said to a conversation, and the tasks that it consists of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import DataError

from agentapp.errors import IllegalMove
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import NamedRequest, cannot_open, check_known, marks, of_request
from agentapp.models import Workflow
from agentapp.policies.intake import QueuePressure

# Then its sender waits until some are read.
MOST_UNREAD = 20

# Oldest first.
CHAIN = """
WITH RECURSIVE told AS (
  SELECT id, continues, 0 AS n FROM agentapp_workflow WHERE id = %s
  UNION ALL
  SELECT w.id, w.continues, n + 1 FROM told JOIN agentapp_workflow w ON w.id = told.continues
)
SELECT array_agg(id ORDER BY n DESC) FROM told
"""


@dataclass(frozen=True)
class NewMessage:
    id: UUID
    text: str
    is_untrusted: bool


@dataclass(frozen=True)
class Said:
    """`is_over`: nothing was stored, because the task is over; `next` goes on with its conversation, if one does."""

    opened: Opened = field(default_factory=Opened)
    is_over: bool = False
    next: UUID | None = None
    state: str = ""


def chain(workflow_id: UUID) -> list[UUID]:
    """Return the tasks of a conversation up to this one, oldest first."""
    found: list[UUID] = database.statement(CHAIN, [workflow_id])
    return found or [workflow_id]


def say(workflow_id: UUID, message: NewMessage, *, actor: str, request: NamedRequest | None = None) -> Said:
    """Store a message for the next turn of a task that is not over; see the move.

    Raises:
        IllegalMove: the task takes no messages, or too many wait to be read.
        AskedBefore, KeyUsedOtherwise: as in `submit`. `workflow_id` of the first is then the id of the message.
    """
    answer = database.call(
        "say", workflow=workflow_id, id=message.id, actor=actor, text=message.text, is_untrusted=message.is_untrusted,
        most=MOST_UNREAD, **of_request(request),
    )  # fmt: skip
    check_known(answer)
    return _said(answer)


def follow_up(
    workflow: Workflow,
    message: NewMessage,
    *,
    stages: list[dict[str, Any]],
    actor: str,
    request: NamedRequest | None = None,
) -> tuple[Said, QueuePressure]:
    """Store a task that goes on with the conversation of `workflow.continues`, and its first message. One commit.

    Where the pressure says that it was refused, nothing is stored; nor where somebody was faster (`next`).

    Raises:
        IllegalMove: that task is not completed, or its stages are deleted.
        InvalidInput, AskedBefore, KeyUsedOtherwise: as in `submit`; `workflow_id` of the second is the task's.
    """
    try:
        answer = database.call(
            "follow_up", id=workflow.pk, origin=workflow.continues, actor=actor, api_key=workflow.api_key_id,
            user=workflow.user_id, version=workflow.version, input=workflow.input, stages=database.Jsonb(stages),
            result_bind=workflow.result_bind, message=message.id, text=message.text,
            is_untrusted=message.is_untrusted, **of_request(request), **marks(),
        )  # fmt: skip
    except DataError as error:
        raise cannot_open(error, stages[0]["name"]) from error
    check_known(answer)
    if "refused" in answer:
        return Said(), QueuePressure.of(answer)
    return _said(answer), QueuePressure()


def _said(answer: dict[str, Any]) -> Said:
    if answer["status"] == "no conversation":
        raise IllegalMove(f"This task is {answer['state'].replace('_', ' ')}, and takes no messages.")
    if answer["status"] == "full":
        raise IllegalMove(f"{MOST_UNREAD} messages wait to be read. Send this one when its next turn has begun.")
    if answer["status"] == "over":
        following = answer.get("next")
        return Said(is_over=True, next=UUID(following) if following else None, state=answer["state"])
    return Said(Opened.of(answer))
