"""What else may happen to a job that has asked a person: races, cancellations, undo, forks, the release before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from agentapp.clock import Clock
from agentapp.dispatch import timekeeper
from agentapp.errors import IllegalMove, LostLease, NotFound, PermissionDenied
from agentapp.lifecycle import database
from agentapp.lifecycle import make_due as due_moves
from agentapp.lifecycle.ask_person import ask_person
from agentapp.lifecycle.cancel import cancel
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, History, Job, Tenant
from agentapp.runtime import approved, claiming
from agentapp.services import approvals, forks, withdrawals
from agentapp.services.principals import Principal
from tests.approvals.asking import decide, person
from tests.approvals.questions import (
    asked,
    content_of,
    go_on,
    refunds,
    the_job,
)
from tests.harness import be_a_worker, histories_are_legal, make_due

pytestmark = pytest.mark.django_db


def claimed(task: Any) -> Claimed:
    be_a_worker()
    found = claiming.result_of(claiming.PendingClaim(str(the_job(task).pk)))
    assert isinstance(found, Claimed)
    return found


QUESTION: dict[str, Any] = {
    "key": "refund", "content": content_of(20), "content_sha256": "a" * 64, "summary": "Refund 20", "risk": "low",
    "sources": [], "evaluation": None, "expires_in_s": None,
}  # fmt: skip


def test_who_has_lost_the_job_asks_nothing_and_who_asks_twice_asks_once(principal: Principal, tenant: Tenant) -> None:
    task = refunds(principal, 20)
    decide(person("kim", tenant), asked(task))
    job = claimed(task)
    with pytest.raises(LostLease):
        ask_person(job.__class__(**{**vars(job), "token": uuid4()}), QUESTION, worker="w")
    assert not Approval.objects.filter(state="pending").exists()

    # Its answer was lost: the same request finds what it did.
    ask_person(job, QUESTION, worker="w")
    ask_person(job, QUESTION, worker="w")
    assert Approval.objects.filter(state="pending").count() == 1

    # Where it was made available all the same, the body finds the same question, and asks no second one.
    Job.objects.filter(pk=job.id).update(state="available", blocked_by=None)
    ask_person(claimed(task), QUESTION, worker="w")
    assert Approval.objects.filter(state="pending").count() == 1
    # Under the same key other bytes take its place.
    Job.objects.filter(pk=job.id).update(state="available", blocked_by=None)
    ask_person(claimed(task), QUESTION | {"content_sha256": "b" * 64}, worker="w")
    assert asked(task).asked_sha256 == "b" * 64
    assert sorted(Approval.objects.values_list("state", flat=True)) == ["approved", "cancelled", "pending"]


def test_nothing_makes_it_due(principal: Principal, clock: Clock) -> None:
    task = refunds(principal, 20)
    make_due(clock, 10 * 365 * 86_400)

    assert the_job(task).state == "retryable" and due_moves.due() == []
    answer = database.call("make_due", workflow=task.pk, job=the_job(task).pk, actor="test")
    assert answer["status"] == "refused"


def test_who_cancels_the_task_withdraws_the_question(principal: Principal, tenant: Tenant) -> None:
    task = refunds(principal, 20, 30)
    question = Approval.objects.order_by("id")[0]
    cancel(task.pk, actor="test", reason="not needed")

    assert set(Approval.objects.values_list("state", flat=True)) == {"cancelled"}
    with pytest.raises(IllegalMove, match="already cancelled"):
        decide(person("kim", tenant), question)
    assert set(Job.objects.values_list("state", flat=True)) == {"cancelled"} and histories_are_legal()


def test_a_part_that_nobody_needs_any_more_asks_no_more(principal: Principal) -> None:
    task = refunds(principal, 20, 1, kind="probe_first_refund")

    assert task.state == "completed" and Approval.objects.get().state == "cancelled" and histories_are_legal()


def test_an_approval_is_withdrawn_before_its_job_begins(principal: Principal, tenant: Tenant, clock: Clock) -> None:
    task, kim = refunds(principal, 20), person("kim", tenant)
    first = asked(task)
    decide(kim, first)
    again = withdrawals.withdraw(kim, first.pk)
    assert (again.state, again.content, again.job_id) == ("pending", first.content, first.job_id)
    assert the_job(task).state == "retryable" and withdrawals.withdraw(kim, first.pk).pk == again.pk
    decide(kim, again)
    go_on(task)

    with pytest.raises(IllegalMove, match="over"):
        withdrawals.withdraw(kim, again.pk)
    assert Approval.objects.filter(state="approved").count() == 1 and histories_are_legal()


def test_a_mail_is_held_so_that_it_can_be_undone(
    principal: Principal, tenant: Tenant, clock: Clock, settings: Any
) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 10
    task, kim = refunds(principal, 1, 20), person("kim", tenant)
    mail = {"to": "a@sample.test", "subject": "Hi", "body": "Done."}
    Approval.objects.update(content=mail, draft=mail)
    decide(kim, asked(task))
    assert the_job(task).state == "scheduled" and Approval.objects.get().held_until == clock.now() + timedelta(
        seconds=10
    )
    assert withdrawals.withdraw(kim, Approval.objects.get().pk).state == "pending"
    assert the_job(task).state == "retryable" and histories_are_legal()


def test_a_fork_asks_for_itself(principal: Principal, tenant: Tenant) -> None:
    task, kim = refunds(principal, 20), person("kim", tenant)
    decide(kim, asked(task))
    go_on(task)

    fork = go_on(forks.fork(principal, task.pk, from_stage="probe_refund"))
    # As a decision of its plan does: an approval is good for one run.
    assert asked(fork).content == content_of(20) and asked(fork).job != the_job(task)
    decide(kim, asked(fork))
    assert go_on(fork).state == "completed" and Approval.objects.filter(workflow=fork).count() == 1


def test_another_tenant_sees_and_decides_nothing(principal: Principal, other_principal: Principal) -> None:
    question = asked(refunds(principal, 20))

    with pytest.raises(NotFound):
        approvals.decide(other_principal, question.pk, decision="approve", content_sha256=question.content_sha256)


@pytest.mark.parametrize("state", ["approved", "rejected", "expired", "changes_requested"])
def test_the_release_before_can_end_no_question_of_a_job(principal: Principal, state: str) -> None:
    """It would go on behind the stage, or fail the task."""
    question = asked(refunds(principal, 20))

    with pytest.raises(IntegrityError, match="approval_answers_its_job"), transaction.atomic():
        Approval.objects.filter(pk=question.pk).update(state=state)


def test_nor_does_it_open_one_again(principal: Principal, tenant: Tenant) -> None:
    """It would put it before the stage that comes next, as a decision of the plan."""
    task = refunds(principal, 20)
    question = decide(person("kim", tenant), asked(task))

    with pytest.raises(IntegrityError, match="approval_answers_its_job"), transaction.atomic():
        Approval.objects.filter(pk=question.pk).update(state="reopened")


def test_what_it_left_behind_is_cleared_up(principal: Principal, clock: Clock) -> None:
    """The release before ends parts without a look at their questions."""
    task = refunds(principal, 20, expires_in_s=60)
    Job.objects.filter(workflow=task).update(state="pending")
    clock.advance(61)

    assert timekeeper.expire_overdue() == 1
    assert Approval.objects.get().state == "cancelled" and timekeeper.expire_overdue() == 0


@pytest.mark.django_db(transaction=True)
def test_of_a_decision_and_a_cancellation_at_once_one_holds(principal: Principal, tenant: Tenant) -> None:
    kim = person("kim", tenant)

    def do(what: Any) -> str:
        try:
            what()
        except IllegalMove:
            return "refused"
        finally:
            connection.close()
        return "done"

    for _ in range(3):
        task = refunds(principal, 20)
        question = asked(task)
        moves = [
            lambda question=question: decide(kim, question),
            lambda task=task: cancel(task.pk, actor="test", reason="not needed"),
        ]
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(do, moves))
        # Whatever was first: the task is cancelled, and nothing of it waits or runs.
        question.refresh_from_db()
        assert said[1] == "done" and (said[0], question.state) in [("done", "approved"), ("refused", "cancelled")]
        assert the_job(task).state == "cancelled" and go_on(task).state == "cancelled"
    assert histories_are_legal()


def test_many_wait_as_rows_alone(principal: Principal) -> None:
    """Nobody holds them, no message of them is on its way, and none of them is ever due."""
    task = refunds(principal, *range(100, 130))

    assert Job.objects.filter(workflow=task, state="retryable", lease_token=None, published_at=None).count() == 30
    assert History.objects.filter(workflow=task, to_state="running", noun="job").count() == 30
    assert due_moves.due() == []


def test_what_a_job_has_asked_is_no_approval_of_the_plan(principal: Principal, tenant: Tenant) -> None:
    """To open it again would put it before a stage, where nobody could decide it."""
    task = refunds(principal, 20)
    decide(person("kim", tenant), asked(task))
    question = Approval.objects.get()
    Approval.objects.update(content=content_of(98))

    with pytest.raises(PermissionDenied, match="holds no approval"):
        approved.read(claimed(task), str(question.pk))
