"""Job types that ask a person, and tasks of them."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import AsksPerson, NotApproved
from agentapp.flows import FanOut, Flow, Join
from agentapp.models import Approval, Job, Workflow
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from agentapp.services.principals import Principal
from tests import harness

# What a body does beside asking, by a word of its payload; tests set what it proposes, and read how often it ran.
RUNS: list[tuple[int, str]] = []
PROPOSED: dict[str, Any] = {}


class Refunds(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    amounts: list[int] = [20]
    how: str = ""
    risk: str = "medium"
    expires_in_s: float | None = None
    evaluation: dict[str, Any] | None = None


def content_of(amount: int) -> dict[str, Any]:
    """What is asked: arguments of a tool."""
    return {"calls": [{"tool": "refund", "arguments": {"amount": amount}}]}


@job(queue="retrieval", retry=RetryPolicy(max_attempts=2))
def probe_refund(
    ctx: JobContext,
    *,
    amount: int,
    how: str = "",
    risk: str = "medium",
    expires_in_s: float | None = None,
    evaluation: dict[str, Any] | None = None,
) -> dict[str, Any]:
    RUNS.append((amount, how))
    if amount < 10:
        return {"amount": amount, "by": "nobody asked"}
    seen = (ctx.saved or {}).get("seen", 0)
    ctx.checkpoint({"seen": seen + 1})
    content = PROPOSED.get("content") or content_of(amount)
    try:
        answer = ctx.ask(
            "refund", content, summary=f"Refund {amount}", risk=risk, expires_in_s=expires_in_s, evaluation=evaluation
        )
    except NotApproved as error:
        if how != "handles":
            raise
        return {"amount": 0, "by": error.decision, "reason": error.reason}
    except AsksPerson:
        if how != "swallows":
            raise
        return ctx.effect(f"refund:{ctx.job_id}", lambda _: {"by": "swallowed"}, type="refund", request={})
    if how == "asks twice":
        ctx.ask("again", content_of(amount + 1))
    return {"amount": amount, "content": answer.content, "seen": seen, "reason": answer.reason}


BIND = {name: f"input.{name}" for name in ("how", "risk", "expires_in_s", "evaluation")}
for kind, join in (("probe_refunds", Join()), ("probe_first_refund", Join("at_least", n=1))):
    registry.add_flow(
        Flow(
            kind, 1, Refunds, (FanOut("probe_refund", over="input.amounts", each="amount", bind=BIND, join=join),),
            result={"refunds": "probe_refund"} if kind == "probe_refunds" else {},
        )
    )  # fmt: skip


def refunds(principal: Principal, *amounts: int, kind: str = "probe_refunds", **more: Any) -> Workflow:
    """A task whose parts of 10 and more have asked."""
    RUNS.clear()
    PROPOSED.clear()
    return harness.run_workflow(principal, kind, {"amounts": list(amounts or (20,)), **more})


def asked(task: Workflow) -> Approval:
    """The question that is open."""
    return Approval.objects.select_related("workflow", "job").get(workflow=task, state="pending")


def the_job(task: Workflow) -> Job:
    return Job.objects.get(workflow=task, payload__amount__gte=10)


def error_of(task: Workflow) -> dict[str, Any]:
    return the_job(task).error or {}


def result_of(task: Workflow) -> list[dict[str, Any]]:
    """The outputs of its parts."""
    found: list[dict[str, Any]] = (task.result or {})["refunds"]
    return found


def go_on(task: Workflow) -> Workflow:
    harness.drain(task)
    return Workflow.objects.get(pk=task.pk)
