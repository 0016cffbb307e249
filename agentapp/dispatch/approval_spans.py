"""The wait for a person as a span of its task's trace, told when it is over. [H2]"""

from __future__ import annotations

from agentapp.models import Approval
from agentapp.observability import tracing
from agentapp.policies import traceparent


def told(approval: Approval) -> Approval:
    """Tell how long an approval has waited, and return it; nothing is told of one that still waits."""
    if approval.decided_at is None:
        return approval
    task = approval.workflow
    attributes: tracing.Attributes = {
        "agentapp.task.id": str(task.pk), "agentapp.task.kind": task.kind, "agentapp.approval.id": str(approval.pk),
        "agentapp.approval.state": approval.state, "agentapp.approval.risk": approval.risk,
    }  # fmt: skip
    context = traceparent.of_task(task.pk, task.traceparent)
    tracing.past("approval", attributes, parent=context, since=approval.created_at, until=approval.decided_at)
    return approval
