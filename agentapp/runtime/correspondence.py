"""What a finished task has sent to a customer, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.errors import PermanentError
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Reply, Workflow
from agentapp.states import WORKFLOW_FINAL

Json = dict[str, Any]


@dataclass(frozen=True)
class Correspondence:
    """`sent` is the message {"to", "subject", "body"} of a task, None if it sent none. So many `replies` came back.
    `asked` is what the customer had written."""

    is_over: bool
    sent: Json | None
    asked: str
    replies: int


def read(job: Claimed, task_id: UUID) -> Correspondence:
    """Raises PermanentError when the tenant has no such task."""
    task = Workflow.objects.filter(tenant_id=job.tenant_id, pk=task_id).first()
    if task is None:
        raise PermanentError(f"This tenant has no task {task_id}.")
    return Correspondence(
        is_over=task.state in WORKFLOW_FINAL,
        sent=_sent(task.result or {}),
        asked=str(task.input.get("body", "")),
        replies=Reply.objects.filter(workflow=task).count(),
    )


def _sent(result: Json) -> Json | None:
    reply = result.get("reply")
    fields = {name: reply.get(name) for name in ("to", "subject", "body")} if isinstance(reply, dict) else {}
    return fields if fields and all(isinstance(text, str) for text in fields.values()) else None
