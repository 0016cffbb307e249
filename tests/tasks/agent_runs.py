"""Runs of an agent whose model follows a script, and what came of them."""

from __future__ import annotations

from typing import Any

from agentapp.models import Approval, Job, Workflow
from agentapp.services import approvals
from agentapp.services.principals import Principal
from agentapp.testing.scripts import call as call
from agentapp.testing.scripts import script as script
from tests.harness import drain, run_workflow

Json = dict[str, Any]


def run(principal: Principal, instruction: str, **input: Any) -> Workflow:
    """Run an agent until it waits for a person or is over."""
    return run_workflow(principal, "agent", {"instruction": instruction, **input})


def decide(principal: Principal, task: Workflow, decision: str, *, reason: str = "") -> Workflow:
    """Decide the open approval of a task, and run on."""
    approval = pending(task)
    approvals.decide(
        principal, approval.pk, decision=decision, content_sha256=approval.content_sha256, reason=reason
    )  # fmt: skip
    drain(task)
    return Workflow.objects.get(pk=task.pk)


def pending(task: Workflow) -> Approval:
    return Approval.objects.get(workflow=task, state="pending")


def result(task: Workflow) -> Json:
    assert isinstance(task.result, dict), task.state
    return task.result


def results(task: Workflow) -> list[tuple[str, str, str]]:
    """The results of all calls, in order: tool, status, text."""
    done = Job.objects.filter(workflow=task, type="run_tool", state="completed").order_by("stage__position", "part")
    outputs = [job.output or {} for job in done]
    return [(output["tool"], output["status"], output.get("text", "")) for output in outputs]


def turns(task: Workflow) -> list[Json]:
    done = Job.objects.filter(workflow=task, type="agent_turn", state="completed").order_by("stage__position")
    return [job.output or {} for job in done]
