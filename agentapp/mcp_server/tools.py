"""What each tool does. They know no rules: a tool calls one service, and says what came back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from agentapp import flows
from agentapp.api import approval_shapes, idempotency, links, query, shapes
from agentapp.api import approvals as approvals_api
from agentapp.api import kinds as kinds_api
from agentapp.mcp_server import answers, arguments
from agentapp.observability import tracing
from agentapp.policies.sentences import FieldErrors
from agentapp.services import approvals, kinds, new_task, task_filters, workflows
from agentapp.services.principals import Principal


def list_kinds(principal: Principal, wanted: arguments.Nothing) -> answers.Kinds:
    found = [kinds_api.shape(flow) | {"input_schema": flows.input_schema(flow)} for flow in kinds.listing()]
    return answers.Kinds.model_validate({"kinds": found})


def submit_task(principal: Principal, wanted: arguments.SubmitTask) -> answers.Task:
    asked = wanted.as_request()
    named = None
    if wanted.idempotency_key is not None:
        # As POST /tasks names it: a client that changes over to the other door makes no second task either.
        named = idempotency.name(
            wanted.idempotency_key, of=asked, method="POST", path=links.to("/tasks"), noun="idempotency_key"
        )
    with tracing.span("tools/call submit_task", {"mcp.method.name": "tools/call"}, kind="server") as span:
        given = asked.model_dump() | {"traceparent": span.traceparent}
        accepted = workflows.accept(principal, request=named, **given)
        workflows.name_task(span, accepted.workflow)
    return answers.of_shape(shapes.accepted(accepted))


def get_task(principal: Principal, wanted: arguments.OneTask | arguments.WaitForTask) -> answers.Task:
    return answers.task(workflows.get(principal, wanted.task_id))


def list_tasks(principal: Principal, wanted: arguments.ListTasks) -> answers.Tasks:
    found = task_filters.matching(
        principal, workflows.listing(principal), state=[wanted.state] if wanted.state else (),
        kind=[wanted.kind] if wanted.kind else (), label=wanted.labels, created_before=wanted.created_before,
        q=wanted.words,
    )  # fmt: skip
    rows = list(found[: wanted.limit + 1])
    shown = shapes.tasks(rows[: wanted.limit])
    return answers.Tasks.model_validate({"tasks": shown, "has_more": len(rows) > wanted.limit})


def cancel_task(principal: Principal, wanted: arguments.CancelTask) -> answers.Task:
    return answers.task(workflows.cancel(principal, wanted.task_id, reason=wanted.reason))


def list_approvals(principal: Principal, wanted: arguments.ListApprovals) -> answers.Approvals:
    asked = query.Approvals.model_validate({"state": wanted.state, "task": wanted.task_id})
    everything = approvals.listing(principal).select_related(*approval_shapes.WHO)
    rows = list(approvals_api.matching(everything, asked, principal)[: wanted.limit + 1])
    shown = approval_shapes.each(principal, rows[: wanted.limit])
    return answers.Approvals.model_validate({"approvals": shown, "has_more": len(rows) > wanted.limit})


def decide_approval(principal: Principal, wanted: arguments.DecideApproval) -> answers.Approval:
    decided = approvals.decide(
        principal,
        wanted.approval_id,
        decision=wanted.decision,
        content_sha256=wanted.content_sha256,
        content=wanted.content,
        reason=wanted.reason,
    )
    return answers.Approval.model_validate(approval_shapes.one(principal, decided))


def place(principal: Principal, task_id: UUID) -> tuple[str, int]:
    """Return the state of a task, and the number of the change that has led there."""
    row = workflows.get(principal, task_id)
    return row.state, row.seq


def problems(principal: Principal, given: dict[str, Any]) -> FieldErrors:
    """Say what is wrong with a new task, beside the types of its fields."""
    return new_task.problems(principal, given)
