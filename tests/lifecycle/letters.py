"""Tasks whose jobs fail when a test wants it, and what a person does about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.models import Approval, Attempt, Job, Stage, Workflow
from agentapp.runtime import runner
from agentapp.services import approvals
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, histories_are_legal, run_workflow
from tests.lifecycle import dead_letter_kinds


@pytest.fixture(autouse=True)
def world(settings: Settings) -> Iterator[None]:
    """Nothing is broken before and after, and whatever a test did, every history is legal."""
    # One job per message, so that a test can step in between any two.
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0
    dead_letter_kinds.reset()
    yield
    dead_letter_kinds.reset()
    assert histories_are_legal()
    for workflow in Workflow.objects.filter(state="completed"):
        assert (
            workflow.parts_left == 0
            and not Stage.objects.filter(workflow=workflow, position__gt=workflow.position).exists()
        )
        assert Job.objects.filter(workflow=workflow, state="completed").count() == workflow.jobs_done


def fail_at(principal: Principal, *names: str, kind: str = "letter_line", **input: Any) -> tuple[Workflow, Job]:
    """Run a task until these job types have failed; return it with its first dead letter. Nothing is broken then."""
    dead_letter_kinds.broken.update(names)
    workflow = run_workflow(principal, kind, input)
    dead_letter_kinds.broken.clear()
    return workflow, Job.objects.filter(workflow=workflow, state="dead_lettered").order_by("part").first()  # type: ignore[return-value]


def now(workflow: Workflow) -> Workflow:
    drain()
    return Workflow.objects.get(pk=workflow.pk)


def approve(principal: Principal, workflow: Workflow) -> None:
    approval = Approval.objects.get(workflow=workflow, state="pending")
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)


def stages(workflow: Workflow) -> list[str]:
    return list(Stage.objects.filter(workflow=workflow).order_by("position").values_list("name", flat=True))


def ran(workflow: Workflow, name: str) -> int:
    return Attempt.objects.filter(job__workflow=workflow, job__type=name).count()


def drain_until(workflow: Workflow, name: str, *, rounds: int) -> None:
    """Run one job after the other until `name` has run as often as that."""
    be_a_worker()
    while ran(workflow, name) < rounds:
        runner.run(
            str(Job.objects.filter(workflow=workflow, state="available").order_by("stage__position", "part")[0].pk)
        )
