"""The wait for a person as a span of its task's trace, made when it is over. [H2]"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from agentapp.models import Approval
from agentapp.observability import tracing
from agentapp.policies import traceparent


def add(approval: Approval) -> None:
    """Add the span of an approval that has been decided or has expired; one that still waits has none."""
    if approval.decided_at is None:
        return
    task = approval.workflow
    attributes: tracing.Attributes = {
        "agentapp.task.id": str(task.pk), "agentapp.task.kind": task.kind, "agentapp.approval.id": str(approval.pk),
        "agentapp.approval.state": approval.state, "agentapp.approval.risk": approval.risk,
    }  # fmt: skip
    context = traceparent.of_task(task.pk, task.traceparent)
    tracing.past("approval", attributes, parent=context, since=approval.created_at, until=approval.decided_at)


def add_decided(workflow_id: UUID, *, since: datetime) -> None:
    """Add the spans of those approvals of a task that were decided, or have expired, since a moment."""
    columns = ("created_at", "decided_at", "state", "risk", "workflow__kind", "workflow__traceparent")
    decided = Approval.objects.filter(workflow=workflow_id, decided_at__gte=since)
    for approval in decided.select_related("workflow").only(*columns):
        add(approval)
