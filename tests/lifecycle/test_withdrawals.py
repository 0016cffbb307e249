"""An approved mail is held for some seconds, and its approval can be withdrawn until something is sent. [G1] [G3]"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.dispatch import stager, timekeeper
from agentapp.errors import IllegalMove, LostLease
from agentapp.lifecycle import effects, make_due
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Effect, History, Job, Workflow
from agentapp.runtime import runner
from agentapp.services import approvals, reasons, withdrawals
from agentapp.services.principals import Principal
from tests import harness
from tests.harness import drain, histories_are_legal, path, run_workflow
from tests.lifecycle.test_dead_letter_races import at_once
from tests.lifecycle.test_locks import take

pytestmark = pytest.mark.django_db
HOLD_S = 10.0


@pytest.fixture(autouse=True)
def hold(settings: Settings) -> None:
    settings.AGENTAPP_SEND_HOLD_S = HOLD_S


def approved(principal: Principal, kind: str = "probe_decision") -> Approval:
    """A mail that was approved just now."""
    run = run_workflow(principal, kind, {"text": "hello"})
    asked = Approval.objects.get(workflow=run, state="pending")
    return approvals.decide(principal, asked.pk, decision="approve", content_sha256=asked.content_sha256)


def sending(approval: Approval) -> Job:
    return Job.objects.get(workflow_id=approval.workflow_id, type="probe_tell")


def test_an_approved_mail_is_sent_after_the_hold_and_not_before(principal: Principal, clock: Any) -> None:
    approval = approved(principal)
    job = sending(approval)
    assert (job.state, job.scheduled_at) == ("scheduled", approval.held_until)
    assert approval.held_until == clock.now() + timedelta(seconds=HOLD_S)
    run = Workflow.objects.get(pk=approval.workflow_id)
    (reason,) = reasons.blocked_by([run])[run.pk]
    assert (reason["type"], reason["until"]) == ("hold", approval.held_until)

    # Nothing stands in its way but time: what looks after parked jobs leaves it alone.
    clock.advance(HOLD_S - 0.5)
    assert make_due.wake_parked(limit=10) == 0 and make_due.due() == [] and drain() == 0
    harness.make_due(clock, 0.5)
    drain()

    assert path(job) == "available > scheduled > available > running > completed"
    assert histories_are_legal()


def test_a_hold_of_0_seconds_sends_at_once(principal: Principal, settings: Settings) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 0.0
    assert approved(principal).held_until is None


@pytest.mark.parametrize(("left_s", "hold_s"), [(25.0, 10.0), (8.0, 4.0), (2.0, 1.0)])
def test_a_hold_leaves_half_of_the_time_before_the_deadline(
    principal: Principal, clock: Any, left_s: float, hold_s: float
) -> None:
    run = run_workflow(principal, "probe_decision", {"text": "hello"}, deadline_s=60)
    asked = Approval.objects.get(workflow=run)
    clock.advance(60 - left_s)

    approval = approvals.decide(principal, asked.pk, decision="approve", content_sha256=asked.content_sha256)
    assert approval.held_until == clock.now() + timedelta(seconds=hold_s)

    harness.make_due(clock, hold_s)
    drain()
    assert timekeeper.expire_overdue() == 0
    assert Workflow.objects.get(pk=run.pk).state == "completed" and histories_are_legal()


def test_a_dispatcher_that_starts_during_the_hold_makes_the_mail_due(principal: Principal, clock: Any) -> None:
    """All that is known of the hold is the row: nothing is lost with the processes that were there when it began."""
    job = sending(approved(principal))

    for seconds, found in ((HOLD_S - 0.5, 0), (0.5, 1)):
        clock.advance(seconds)
        assert stager.make_due() == found

    drain()
    assert path(job) == "available > scheduled > available > running > completed"


def test_a_withdrawn_approval_asks_the_same_again_and_twice_is_once(principal: Principal, clock: Any) -> None:
    approval = approved(principal)

    again = withdrawals.withdraw(principal, approval.pk, reason="a typing error")
    assert withdrawals.withdraw(principal, approval.pk) == again

    assert (again.state, again.content, again.content_sha256) == ("pending", approval.content, approval.content_sha256)
    approval.refresh_from_db()
    assert approval.state == "reopened" and again.workflow.state == "awaiting_approval"
    noted = History.objects.filter(approval_id=approval.pk, to_state="reopened").values_list("reason", "actor")
    assert list(noted) == [("a typing error", principal.actor)]
    # Nothing of the first decision is left that could send.
    harness.make_due(clock, 2 * HOLD_S)
    assert drain() == 0 and not Effect.objects.exists()

    approvals.decide(principal, again.pk, decision="approve", content_sha256=again.content_sha256)
    harness.make_due(clock, HOLD_S)
    drain()
    assert Workflow.objects.get(pk=approval.workflow_id).state == "completed" and Effect.objects.get().sends == 1
    with pytest.raises(IllegalMove, match="already sent at 2030-01-01 12:"):
        withdrawals.withdraw(principal, again.pk)
    assert histories_are_legal()


def test_a_worker_that_has_not_begun_to_send_loses_the_job(principal: Principal, clock: Any) -> None:
    approval = approved(principal)
    harness.make_due(clock, HOLD_S)
    worker = take(sending(approval))
    assert isinstance(worker, Claimed)

    withdrawals.withdraw(principal, approval.pk)

    with pytest.raises(LostLease):
        begun(worker)
    job = sending(approval)
    assert (job.state, job.payload, job.attempt) == ("pending", None, 0) and not Effect.objects.exists()
    assert histories_are_legal()


def test_what_is_being_sent_cannot_be_withdrawn(principal: Principal, clock: Any) -> None:
    approval = approved(principal)
    harness.make_due(clock, HOLD_S)
    worker = take(sending(approval))
    assert isinstance(worker, Claimed)
    begun(worker)

    with pytest.raises(IllegalMove, match="is being sent since"):
        withdrawals.withdraw(principal, approval.pk)

    assert sending(approval).state == "running"


def test_only_what_was_approved_can_be_withdrawn(principal: Principal) -> None:
    run = run_workflow(principal, "probe_decision", {"text": "hello"})
    asked = Approval.objects.get(workflow=run)
    with pytest.raises(IllegalMove, match="is pending"):
        withdrawals.withdraw(principal, asked.pk)
    approvals.decide(principal, asked.pk, decision="reject", reason="no", content_sha256=asked.content_sha256)
    with pytest.raises(IllegalMove, match="is rejected"):
        withdrawals.withdraw(principal, asked.pk)


def begun(worker: Claimed) -> effects.Entry:
    return effects.begin(worker, "mail:probe", type="mail", request_sha256="0" * 64, asked=None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round", range(4))
def test_withdrawing_and_sending_at_once_do_not_both_happen(
    principal: Principal, settings: Settings, round: int
) -> None:
    """Two people withdraw while the worker runs the job: one mail, or one open approval."""
    settings.AGENTAPP_SEND_HOLD_S = 0.0
    approval = approved(principal)
    job = sending(approval)
    harness.be_a_worker()

    def withdraw() -> None:
        withdrawals.withdraw(principal, approval.pk)

    ends = at_once([withdraw, lambda: runner.run(str(job.pk)), withdraw])

    is_open = Approval.objects.filter(workflow_id=approval.workflow_id, state="pending").count()
    sent = Effect.objects.exclude(state="prepared").count()
    assert (is_open, sent) in [(1, 0), (0, 1)]
    assert ends[0] == ends[2] == ("done" if is_open else "IllegalMove")
    assert sending(approval).state == ("pending" if is_open else "completed")
    assert histories_are_legal()
