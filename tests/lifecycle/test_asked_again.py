"""An approval that is opened again, while other stages lie between it and the job that would send. [D7] [G3]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentapp import registry
from agentapp.flows import Decision, FanOut, Flow, Stage, Step
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.decide import decide, reopen
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Job, Workflow
from agentapp.policies.content import canonical_sha256
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import ApprovalState
from tests.harness import drain, histories_are_legal
from tests.kinds import Anything
from tests.lifecycle.test_locks import QUEUES

pytestmark = pytest.mark.django_db

CONTENT = {"body": "as it is now"}
BETWEEN: dict[str, Stage | None] = {
    "nothing": None,
    "a job": Step("probe_judge", bind={}),
    "a fan-out": FanOut("probe_part", over="input.parts", each="n"),
}


@pytest.fixture(autouse=True)
def flows_as_before() -> Iterator[None]:
    before = dict(registry.flows)
    yield
    registry.flows.clear()
    registry.flows.update(before)


def flow(name: str) -> str:
    between = BETWEEN[name]
    asked = {"content": "probe_ask.content", "content_sha256": "probe_ask.content_sha256"}
    kind = f"asked_again_{name.replace(' ', '_').replace('-', '_')}"
    registry.add_flow(
        Flow(
            kind=kind,
            version=1,
            input=Anything,
            stages=(
                Step("probe_first", bind={"text": "input.text"}),
                Step("probe_ask", bind={"text": "probe_first.text"}),
                Decision(back_to="probe_first", bind=asked),
                *([between] if between else []),
                Step("probe_tell", bind={"approval_id": "approval.approval_id"}),
            ),
            result={"outcome": "probe_tell.outcome"},
        )
    )
    return kind


def decided(run: Workflow, to: ApprovalState) -> None:
    approval = Approval.objects.get(workflow=run, state="pending")
    decide(
        approval, to=to, content_sha256=approval.content_sha256, actor="user:kim", user_id=None, api_key_id=None,
        reason="because",
    )  # fmt: skip


def taken(run: Workflow) -> Claimed:
    """Run everything up to the job that sends, and claim that."""
    while True:
        job = Job.objects.filter(workflow=run, state="available").order_by("part").first()
        assert job is not None
        claimed = claim(str(job.pk), worker="w", queues=QUEUES, lease_s=60)
        assert isinstance(claimed, Claimed)
        if claimed.type == "probe_tell":
            return claimed
        complete(claimed, {"double": 2, "seen": 1}, worker="w")


def plan(run: Workflow) -> list[str]:
    return [stage.name for stage in run.stages.order_by("position")]


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("again", [ApprovalState.APPROVED, ApprovalState.CHANGES_REQUESTED])
def test_what_lies_between_is_done_once(principal: Principal, between: str, again: ApprovalState) -> None:
    run = workflows.submit(principal, kind=flow(between), input={"parts": [1, 2]})
    drain(run)
    decided(run, ApprovalState.APPROVED)
    sending = taken(run)
    before = Job.objects.filter(workflow=run, state="completed").count()
    first = Approval.objects.get(workflow=run, state="approved")

    more: dict[str, Any] = {"content": CONTENT, "content_sha256": canonical_sha256(CONTENT), "reason": "changed"}
    reopen(sending, first.pk, worker="w", **more)
    run.refresh_from_db()
    assert (run.state, run.parts_left) == ("awaiting_approval", 1)
    assert plan(run)[-2:] == ["approval", "probe_tell"] and run.stages_total == len(plan(run))
    decided(run, again)

    run.refresh_from_db()
    assert run.state == "running"
    if again == ApprovalState.APPROVED:
        # Straight on to the job that sends, with what was approved now.
        sending = taken(run)
        assert Job.objects.filter(workflow=run, state="completed").count() == before
        fresh = Approval.objects.get(workflow=run, state="approved")
        assert (sending.payload["approval_id"], fresh.content) == (str(fresh.pk), CONTENT)
    else:
        assert Job.objects.get(workflow=run, state="available").type == "probe_first"
    assert not Job.objects.filter(workflow=run, state="dead_lettered").exists()
    assert histories_are_legal()
