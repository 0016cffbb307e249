"""What was approved in a fork, or has begun as a task of its own, cannot be taken back once it is sent. [G1] [D7]"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from pytest_django import Settings

from agentapp import registry
from agentapp.errors import IllegalMove, LostLease
from agentapp.flows import Decision, FanOut, Flow, Step, child_task
from agentapp.lifecycle import effects
from agentapp.lifecycle.cancel import cancel
from agentapp.lifecycle.function_set import SCHEMA
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Effect, Job, Workflow
from agentapp.runtime import JobContext, job
from agentapp.services import approvals, dead_letters, forks, withdrawals
from agentapp.services.principals import Principal
from tests import harness, kinds
from tests.harness import drain, histories_are_legal, run_workflow
from tests.lifecycle.test_locks import take

pytestmark = pytest.mark.django_db

ASKED = (
    Step("probe_ask", bind={"text": "input.text"}),
    Decision(
        back_to="probe_ask", bind={"content": "probe_ask.content", "content_sha256": "probe_ask.content_sha256"}
    ),
)  # fmt: skip
registry.add_flow(Flow("probe_told_by_a_child", 1, kinds.Anything, (Step("probe_first", bind={"text": "input.text"}),)))
registry.add_flow(
    Flow(
        "probe_decision_before_a_child",
        1,
        kinds.Anything,
        (*ASKED, child_task("probe_told_by_a_child", bind={"text": "input.text"}, name="part")),
    )
)

# A mail for each of several: nothing stands between what is approved and its parts.
registry.add_flow(
    Flow(
        "probe_decision_before_parts",
        1,
        kinds.Anything,
        (*ASKED, FanOut("probe_tell_one", over="input.parts", each="n", bind={"approval_id": "approval.approval_id"})),
        result={"told": "probe_tell_one"},
    )
)
registry.add_flow(
    Flow(
        "probe_decision_before_no_parts",
        1,
        kinds.Anything,
        (
            *ASKED,
            FanOut("probe_part", over="input.parts", each="n"),
            Step("probe_tell", bind={"approval_id": "approval.approval_id"}),
        ),
    )
)


@job(queue="send", scopes={"mail:send"})
def probe_tell_one(ctx: JobContext, *, approval_id: str, n: int) -> dict[str, int]:
    approved = ctx.approved(approval_id)
    ctx.effect(
        f"{ctx.workflow_id}:{n}",
        lambda effect_id: {"told": effect_id},
        type="probe",
        request=approved.content | {"n": n},
    )
    return {"n": n}


def approve(principal: Principal, task: Workflow) -> Approval:
    asked = Approval.objects.get(workflow=task, state="pending")
    return approvals.decide(principal, asked.pk, decision="approve", content_sha256=asked.content_sha256)


def begun(worker: Claimed, task: Workflow) -> effects.Entry:
    """Begin the effect of a line of forks, as a job type does that sends once for all of them."""
    return effects.begin(worker, f"{task.root or task.pk}:mail", type="mail", request_sha256="0" * 64, asked=None)


def sending(task: Workflow, clock: Any) -> Claimed:
    harness.make_due(clock, 60)
    worker = take(Job.objects.get(workflow=task, type="probe_tell"))
    assert isinstance(worker, Claimed)
    return worker


@pytest.fixture
def fork(principal: Principal, clock: Any) -> Workflow:
    """It is asked to send what its origin has begun, and has certainly not sent."""
    origin = run_workflow(principal, "probe_decision", {"text": "hello"})
    approve(principal, origin)
    worker = sending(origin, clock)
    effects.withdraw(worker, begun(worker, origin))
    cancel(origin.pk, actor="kim", reason="a typing error")
    fork = forks.fork(principal, origin.pk, from_stage="probe_ask")
    drain(fork)
    return Workflow.objects.get(pk=fork.pk)


@pytest.mark.parametrize("by", ["this release", "the release before"])
def test_what_a_fork_is_sending_cannot_be_withdrawn(principal: Principal, fork: Workflow, clock: Any, by: str) -> None:
    approval = approve(principal, fork)
    worker = sending(fork, clock)
    begun(worker, fork)
    effect = Effect.objects.get()
    assert (effect.state, effect.sends, effect.workflow_id, effect.job_id) == ("sent", 2, fork.pk, worker.id)
    if by == "the release before":
        Effect.objects.update(workflow_id=fork.forked_from)

    with pytest.raises(IllegalMove, match="is being sent since"):
        withdrawals.withdraw(principal, approval.pk)

    assert Job.objects.get(pk=worker.id).state == "running" and histories_are_legal()


@pytest.mark.parametrize("by", ["this release", "the release before"])
def test_a_dead_letter_of_a_fork_says_which_effect_is_in_doubt(
    principal: Principal, fork: Workflow, clock: Any, by: str
) -> None:
    approve(principal, fork)
    worker = sending(fork, clock)
    effect = begun(worker, fork)
    Effect.objects.update(
        state="unknown", workflow_id=fork.pk if by == "this release" else fork.forked_from, returned_sends=2
    )
    job = Job.objects.get(pk=worker.id)

    assert [found.pk for found in dead_letters.doubtful_effects(job)] == [UUID(str(effect.id))]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT e.id FROM agentapp_job j, {SCHEMA}.uncertain_effects(j) e WHERE j.id = %s", [job.pk])
        assert cursor.fetchall() == [(UUID(str(effect.id)),)]


@pytest.mark.parametrize("has_ended", [False, True])
def test_what_goes_on_as_a_task_of_its_own_cannot_be_withdrawn(
    principal: Principal, clock: Any, has_ended: bool
) -> None:
    task = run_workflow(principal, "probe_decision_before_a_child", {"text": "hello"})
    approval = approve(principal, task)
    harness.make_due(clock, 60)
    drain(task)
    child = Workflow.objects.get(parent=task.pk)
    if has_ended:
        drain(child)

    with pytest.raises(IllegalMove, match="has gone on"):
        withdrawals.withdraw(principal, approval.pk)

    assert Approval.objects.get(workflow=task).state == "approved" and histories_are_legal()


def test_an_approval_before_a_task_of_its_own_is_withdrawn_during_the_hold(principal: Principal, clock: Any) -> None:
    task = run_workflow(principal, "probe_decision_before_a_child", {"text": "hello"})

    again = withdrawals.withdraw(principal, approve(principal, task).pk)

    harness.make_due(clock, 60)
    drain(task)
    assert again.state == "pending" and not Workflow.objects.filter(parent=task.pk).exists()


def test_an_old_approval_is_not_withdrawn_again_when_what_asked_after_it_is_decided(
    principal: Principal, clock: Any
) -> None:
    task = run_workflow(principal, "probe_decision", {"text": "hello"})
    first = approve(principal, task)
    second = withdrawals.withdraw(principal, first.pk)
    approve(principal, task)
    third = withdrawals.withdraw(principal, second.pk)
    # However old the page: the one that asks now.
    assert [withdrawals.withdraw(principal, old.pk) for old in (first, second)] == [third, third]

    approve(principal, task)
    harness.make_due(clock, 60)
    drain(task)

    assert Workflow.objects.get(pk=task.pk).state == "completed"
    for old in (first, second):
        with pytest.raises(IllegalMove, match="withdrawn before, and what asked again is approved"):
            withdrawals.withdraw(principal, old.pk)
    with pytest.raises(IllegalMove, match="already sent"):
        withdrawals.withdraw(principal, third.pk)


@pytest.fixture
def hold(settings: Settings) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 10.0


def parts(task: Workflow) -> list[tuple[int, str]]:
    return list(
        Job.objects.filter(workflow=task, type="probe_tell_one").order_by("part", "pk").values_list("part", "state")
    )


def test_all_parts_of_a_fan_out_wait_for_the_hold(principal: Principal, clock: Any, hold: None) -> None:
    task = run_workflow(principal, "probe_decision_before_parts", {"text": "hello", "parts": [5, 6, 7]})
    approval = approve(principal, task)

    assert drain(task) == 0 and parts(task) == [(part, "scheduled") for part in range(3)]
    moments = Job.objects.filter(workflow=task, type="probe_tell_one").values_list("scheduled_at", flat=True)
    assert approval.held_until is not None and set(moments) == {approval.held_until}
    harness.make_due(clock, 60)
    drain(task)

    task.refresh_from_db()
    assert (task.state, task.result) == (
        "completed",
        {"told": [{"n": 5}, {"n": 6}, {"n": 7}]},
    ) and Effect.objects.count() == 3
    assert task.jobs_done == task.jobs_total and histories_are_legal()
    with pytest.raises(IllegalMove, match="already sent"):
        withdrawals.withdraw(principal, approval.pk)


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_approval_before_a_fan_out_is_withdrawn_and_its_parts_are_made_anew(
    principal: Principal, clock: Any, hold: None, has_begun: bool
) -> None:
    task = run_workflow(principal, "probe_decision_before_parts", {"text": "hello", "parts": [5, 6]})
    first = approve(principal, task)
    worker: Claimed | None = None
    if has_begun:
        harness.make_due(clock, 60)
        claimed = take(Job.objects.get(workflow=task, part=1))
        assert isinstance(claimed, Claimed)
        worker = claimed

    again = withdrawals.withdraw(principal, first.pk)

    assert withdrawals.withdraw(principal, first.pk) == again and again.state == "pending"
    if worker is not None:
        with pytest.raises(LostLease):
            begun(worker, task)
    harness.make_due(clock, 60)
    assert drain(task) == 0 and not Effect.objects.exists()
    assert parts(task) == [(0, "cancelled"), (1, "cancelled")]

    approve(principal, task)
    harness.make_due(clock, 60)
    drain(task)

    task.refresh_from_db()
    assert (task.state, task.result) == ("completed", {"told": [{"n": 5}, {"n": 6}]}) and Effect.objects.count() == 2
    assert task.jobs_done == task.jobs_total and histories_are_legal()


def test_an_approval_of_which_one_part_was_sent_stays(principal: Principal, clock: Any, hold: None) -> None:
    task = run_workflow(principal, "probe_decision_before_parts", {"text": "hello", "parts": [5, 6]})
    approval = approve(principal, task)
    harness.make_due(clock, 60)
    worker = take(Job.objects.get(workflow=task, part=1))
    assert isinstance(worker, Claimed)
    begun(worker, task)

    with pytest.raises(IllegalMove, match="being sent"):
        withdrawals.withdraw(principal, approval.pk)
    assert [state for _, state in parts(task)] == ["available", "running"]


def test_a_decision_before_a_fan_out_over_nothing_holds_what_comes_behind_it(
    principal: Principal, clock: Any, hold: None
) -> None:
    task = run_workflow(principal, "probe_decision_before_no_parts", {"text": "hello", "parts": []})

    again = withdrawals.withdraw(principal, approve(principal, task).pk)

    assert again.state == "pending"
    approve(principal, task)
    harness.make_due(clock, 60)
    drain(task)
    assert Workflow.objects.get(pk=task.pk).state == "completed" and histories_are_legal()
