"""Tasks that are ended early: by a client, by a deadline, by an approval that nobody decided. [A7] [D9]"""

from __future__ import annotations

from datetime import timedelta

import pytest

from agentapp.dispatch import timekeeper
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle import clean_up as ledger
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Job, Workflow
from agentapp.runtime import clean_up, runner
from agentapp.services import approvals, workflows
from agentapp.services.principals import Principal
from tests import kinds
from tests.harness import be_a_worker, path, run_workflow, workflow_path


def rented(principal: Principal) -> tuple[Workflow, Job]:
    """A task whose first step is done and whose second one, which has something to clean up, runs elsewhere."""
    be_a_worker()
    workflow = workflows.submit(principal, kind="probe_rented", input={}, deadline_s=60)
    runner.run(str(Job.objects.get(workflow=workflow, type="probe_first").pk))
    job = Job.objects.get(workflow=workflow, type="probe_rented")
    if job.state == "available":
        assert isinstance(claim(str(job.pk), worker="elsewhere", queues=["model"], lease_s=15), Claimed)
    return workflow, job


@pytest.fixture(autouse=True)
def every_step_through_the_broker(settings) -> None:
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0


def test_a_task_that_is_not_over_by_its_deadline_fails_and_keeps_what_it_has(principal: Principal, clock) -> None:
    workflow, job = rented(principal)
    clock.advance(59)
    assert timekeeper.expire_overdue() == 0
    clock.advance(1)

    assert timekeeper.expire_overdue() == 1
    assert timekeeper.expire_overdue() == 0
    workflow.refresh_from_db()
    assert (workflow.state, (workflow.error or {})["message"]) == ("failed", "deadline passed")
    assert workflow.result == {"text": "HELLO"}
    assert path(job) == "available > running > cancelled"


def test_a_task_that_is_over_has_no_deadline_any_more(principal: Principal, clock) -> None:
    workflow = run_workflow(principal, "probe_loop", deadline_s=10)
    clock.advance(11)

    assert timekeeper.expire_overdue() == 0
    assert workflow_path(workflow) == "pending > running > completed"


@pytest.mark.parametrize("seconds", [0, -1, 91 * 24 * 3600, float("nan")])
def test_a_deadline_that_makes_no_sense_is_refused(principal: Principal, seconds: float) -> None:
    with pytest.raises(InvalidInput, match="deadline"):
        workflows.submit(principal, kind="probe_loop", input={}, deadline_s=seconds)
    assert not Workflow.objects.exists()


def test_an_approval_that_nobody_decided_in_time_fails_its_task(principal: Principal, clock) -> None:
    workflow = run_workflow(principal, "probe_decision")
    (approval,) = approvals.listing(principal)
    Approval.objects.filter(pk=approval.pk).update(expires_at=clock.now() + timedelta(seconds=30))
    clock.advance(30)

    assert timekeeper.expire_overdue() == 1
    workflow.refresh_from_db()
    assert (workflow.state, (workflow.error or {})["message"]) == ("failed", "approval expired")
    with pytest.raises(IllegalMove, match="expired"):
        approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    assert not Job.objects.filter(workflow=workflow).exclude(state__in=("completed", "cancelled")).exists()


def test_a_cancelled_task_keeps_its_partial_result(principal: Principal) -> None:
    workflow, _ = rented(principal)
    workflows.cancel(principal, workflow.pk, reason="enough")

    workflow.refresh_from_db()
    assert (workflow.state, workflow.result) == ("cancelled", {"text": "HELLO"})


def test_the_worker_that_hears_of_a_cancellation_cleans_up_once(principal: Principal) -> None:
    workflow, job = rented(principal)
    kinds.CLEANED.clear()
    workflows.cancel(principal, workflow.pk, reason="enough")
    claimed = ledger.take(job.pk)
    assert claimed is not None

    assert clean_up.after(claimed)
    assert not clean_up.after(claimed)
    assert [str(job.pk)] == kinds.CLEANED
    assert clean_up.clean_up(str(job.pk)) == "nothing to do"


def test_the_dispatcher_has_it_cleaned_up_when_the_worker_says_nothing(principal: Principal, clock) -> None:
    workflow, job = rented(principal)
    kinds.CLEANED.clear()
    workflows.cancel(principal, workflow.pk, reason="enough")
    assert ledger.due(limit=10) == []
    clock.advance(16)

    (due,) = ledger.due(limit=10)
    assert ledger.ask(due) and not ledger.ask(due)
    assert clean_up.clean_up(str(job.pk)) == "cleaned up"
    assert [str(job.pk)] == kinds.CLEANED


@pytest.mark.parametrize("attempt", [2, 3], ids=["an error", "a bug"])
def test_a_clean_up_that_fails_is_asked_for_again_and_at_last_shown(principal: Principal, clock, attempt: int) -> None:
    workflow, job = rented(principal)
    workflows.cancel(principal, workflow.pk, reason="enough")
    Job.objects.filter(pk=job.pk).update(attempt=attempt)
    clock.advance(16)
    tries = 0
    while due := ledger.due(limit=10):
        if ledger.ask(due[0]):
            assert clean_up.clean_up(str(job.pk)) == "failed"
            tries += 1
        job.refresh_from_db()
        clock.set(job.clean_up_at or clock.now())

    assert 5 < tries < 20
    assert (job.error or {})["class"] == "CleanUpFailed"


def test_what_had_not_begun_has_nothing_to_clean_up(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_rented", input={})
    workflows.cancel(principal, workflow.pk, reason="enough")

    assert not Job.objects.exclude(clean_up_at=None).exists()
