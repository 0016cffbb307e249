"""A job whose framework has used its budget up asks a person, and goes on with the answers that it had. [C5] [C11]"""

from __future__ import annotations

from typing import Any

import openai
import pytest

from agentapp import registry
from agentapp.flows import Flow, Repeat, Step, When, raise_budget
from agentapp.models import Approval, Job, ModelCall, Workflow
from agentapp.runtime import JobContext, job
from agentapp.services import approvals
from agentapp.services.principals import Principal
from tests import kinds
from tests.frameworks.asking import ask, asked, body, echo
from tests.harness import drain, histories_are_legal, run_workflow
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import OddServer

pytestmark = [pytest.mark.django_db(transaction=True)]

KIND = "probe_raising"
registry.add_flow(
    Flow(
        kind=KIND,
        version=1,
        input=kinds.Anything,
        stages=(Step("probe_frameworks"), raise_budget("probe_frameworks")),
        result={
            "found": "probe_frameworks.found?",
            "partial": "probe_frameworks.partial?",
            "asks": "probe_frameworks.asks?",
        },
    )
)


@job(queue="model")
def probe_is_not_content(ctx: JobContext) -> dict[str, Any]:
    return {"again": True}


AGAIN = "probe_raising_again"
registry.add_flow(
    Flow(
        kind=AGAIN,
        version=1,
        input=kinds.Anything,
        stages=(
            Step("probe_frameworks"),
            raise_budget("probe_frameworks"),
            Step(
                "probe_is_not_content",
                repeat=Repeat("probe_frameworks", when=When("probe_is_not_content.again"), at_most=1),
            ),
        ),
    )
)
ALL = ["re: first", "re: re: first", "re: re: re: first"]


def three(ctx: JobContext) -> list[str]:
    """A framework that swallows what its model call met, and returns what it has."""
    client, said = ctx.model.client(budget={"turns": 1}), ["first"]
    try:
        for _ in range(3):
            said.append(ask(client, said[-1]))
    except openai.OpenAIError:
        return ["swallowed"]
    return said[1:]


def decide(principal: Principal, task: Workflow, decision: str, **more: Any) -> Workflow:
    approval = Approval.objects.get(workflow=task, state="pending")
    sha256 = approval.content_sha256
    approvals.decide(principal, approval.pk, decision=decision, content_sha256=sha256, reason="x", **more)
    drain(task)
    return Workflow.objects.get(pk=task.pk)


def started(principal: Principal) -> Workflow:
    body.append(three)
    return run_workflow(principal, KIND)


def test_raising_goes_on_with_the_answers_that_it_had_as_often_as_it_takes(
    principal: Principal, odd: OddServer
) -> None:
    odd.answer = echo
    task = started(principal)
    assert task.state == "awaiting_approval" and asked(odd) == ["first"]
    shown = Approval.objects.get(workflow=task).content
    assert shown["budget"] == "turns" and shown["subject"].startswith("Raise the budget of turns from 1 to 2")

    task = decide(principal, task, "approve")
    assert task.state == "awaiting_approval" and asked(odd) == ["first", "re: first"]
    task = decide(principal, task, "edit", raise_to="9")

    assert task.state == "completed" and task.result == {"found": ALL}
    assert asked(odd) == ["first", "re: first", "re: re: first"] and ModelCall.objects.count() == 3
    assert [done.state for done in Job.objects.filter(workflow=task, type="probe_frameworks")] == ["completed"] * 3
    assert histories_are_legal()


def test_rejected_the_task_ends_with_what_it_has(principal: Principal, odd: OddServer) -> None:
    odd.answer = echo

    task = decide(principal, started(principal), "reject")

    assert task.state == "completed"
    assert task.result == {"partial": {"text": "re: first"}, "asks": True}
    assert asked(odd) == ["first"]


def test_a_round_that_had_its_result_is_another_question(principal: Principal, odd: OddServer) -> None:
    """Where the plan comes back to the stage, its requests are asked anew, with the budget as it was raised."""
    odd.answer = echo
    body.append(three)
    task = decide(principal, run_workflow(principal, AGAIN), "edit", raise_to="9")

    assert task.state == "completed" and Approval.objects.count() == 1
    assert asked(odd) == ["first", "re: first", "re: re: first"] * 2


def test_without_such_a_stage_it_is_a_dead_letter_as_before(principal: Principal, odd: OddServer) -> None:
    odd.answer = echo
    body.append(three)

    task = run_workflow(principal, "probe_frameworks")

    letter = Job.objects.get(workflow=task)
    assert (letter.state, (letter.error or {})["class"]) == ("dead_lettered", "BudgetUsedUp")
