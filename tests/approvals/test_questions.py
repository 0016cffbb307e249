"""Approvals that a job asks for: it waits as a row, and its body reads what was decided. [G2] [G3]"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from agentapp.clock import Clock
from agentapp.dispatch import timekeeper
from agentapp.errors import AgentappError, IllegalMove
from agentapp.lifecycle import remind as reminders
from agentapp.models import Approval, Attempt, Effect, History, Job, Tenant
from agentapp.policies import payload_fields
from agentapp.runtime import asking
from agentapp.services import dead_letters, reasons
from agentapp.services.principals import Principal
from tests import harness
from tests.approvals.asking import decide, person, policy
from tests.approvals.questions import (
    PROPOSED,
    RUNS,
    asked,
    content_of,
    error_of,
    go_on,
    refunds,
    result_of,
    the_job,
)
from tests.harness import histories_are_legal, path

pytestmark = pytest.mark.django_db


def test_a_job_asks_waits_as_a_row_and_goes_on_with_what_was_approved(principal: Principal, tenant: Tenant) -> None:
    task = refunds(principal, 20)
    question, job = asked(task), the_job(task)

    assert (task.state, job.state, job.attempt, job.lease_token) == ("running", "retryable", 0, None)
    assert (question.job, question.summary, question.risk) == (job, "Refund 20", "medium")
    assert question.content == content_of(20) and question.content_sha256 == question.asked_sha256
    (reason,) = reasons.blocked_by([task])[task.pk]
    assert reason == {
        "type": "approval", "id": str(question.pk), "expires_at": None, "job": str(job.pk), "job_type": job.type,
    }  # fmt: skip
    decide(person("kim", tenant), question, reason="fine")
    assert the_job(task).state == "available"

    task = go_on(task)
    assert (task.state, RUNS) == ("completed", [(20, ""), (20, "")])
    # The second run has what the first one had saved.
    assert the_job(task).output == {"amount": 20, "content": content_of(20), "seen": 1, "reason": "fine"}
    assert path(job) == "available > running > retryable > available > running > completed"
    assert list(Attempt.objects.filter(job=job).order_by("started_at").values_list("number", "outcome")) == [
        (1, "handed_back"), (1, "completed"),
    ]  # fmt: skip
    assert Approval.objects.count() == 1 and histories_are_legal()


def test_parts_ask_each_for_itself_and_the_others_go_on(principal: Principal, tenant: Tenant) -> None:
    task, kim = refunds(principal, 20, 1, 30, 2, 40), person("kim", tenant)
    assert sorted(Job.objects.filter(workflow=task).values_list("payload__amount", "state")) == [
        (1, "completed"), (2, "completed"), (20, "retryable"), (30, "retryable"), (40, "retryable"),
    ]  # fmt: skip

    for question in Approval.objects.order_by("id"):
        assert go_on(task).state == "running"
        decide(kim, question)
    done = go_on(task)
    assert done.state == "completed" and [each["amount"] for each in result_of(done)] == [20, 1, 30, 2, 40]
    assert len(RUNS) == 8 and histories_are_legal()


def test_a_body_that_swallows_it_has_asked_all_the_same(principal: Principal) -> None:
    task = refunds(principal, 20, how="swallows")

    assert the_job(task).state == "retryable" and asked(task).summary == "Refund 20"
    # And does nothing more before somebody has decided.
    assert not Effect.objects.exists()


def test_no_is_a_dead_letter_that_says_so_unless_the_body_knows_better(principal: Principal, tenant: Tenant) -> None:
    kim, task = person("kim", tenant), refunds(principal, 20)
    with pytest.raises(IllegalMove, match="no changes can be requested"):
        decide(kim, asked(task), "request_changes", reason="less")
    decide(kim, asked(task), "reject", reason="too much")
    assert go_on(task).state == "needs_attention"
    dead = the_job(task)
    assert error_of(task)["class"] == "NotApproved"
    assert error_of(task)["message"] == "probe_refund asked a person (refund): rejected. too much"
    # Run again it is told the same, and nobody is asked twice; other content is asked anew.
    dead_letters.replay(principal, dead.pk)
    assert go_on(task).state == "needs_attention" and Approval.objects.count() == 1
    dead_letters.replay(principal, dead.pk, payload={**(dead.payload or {}), "amount": 15})
    go_on(task)
    assert asked(task).content == content_of(15)

    other = refunds(principal, 20, how="handles")
    decide(kim, asked(other), "reject", reason="no")
    go_on(other)
    assert the_job(other).output == {"amount": 0, "by": "rejected", "reason": "no"} and histories_are_legal()


@pytest.mark.parametrize(("action", "state"), [("expire", "expired"), ("reject", "rejected")])
def test_nobody_in_time_is_never_a_yes(principal: Principal, clock: Clock, action: str, state: str) -> None:
    policy(deadline_s=60, on_expiry=action)
    task = refunds(principal, 20, 30, 1, how="handles", expires_in_s=1)
    clock.advance(61)
    with pytest.raises(IllegalMove, match="expired"):
        decide(person("kim", Tenant.objects.get(pk=task.tenant_id)), Approval.objects.order_by("id")[0])

    # All of a task in one move; its other parts are none of them.
    assert timekeeper.expire_overdue() == 1 and timekeeper.expire_overdue() == 0
    task = go_on(task)
    assert set(Approval.objects.values_list("state", flat=True)) == {state}
    assert (task.state, [each["by"] for each in result_of(task)]) == (
        "completed",
        [state, state, "nobody asked"],
    )
    assert histories_are_legal()


def test_what_expired_is_asked_again_by_a_replay(principal: Principal, clock: Clock) -> None:
    task = refunds(principal, 20, expires_in_s=60)
    clock.advance(61)
    timekeeper.expire_overdue()
    assert go_on(task).state == "needs_attention"

    dead_letters.replay(principal, the_job(task).pk)
    assert go_on(task).state == "running" and asked(task).asked_replay == 1


def test_as_many_people_as_the_policy_says(principal: Principal, tenant: Tenant, clock: Clock) -> None:
    policy(quorum=2, approvers=["operators"], remind_after_s=60, content_kind="tool_arguments")
    task, kim, lee = refunds(principal, 20), person("kim", tenant, "operators"), person("lee", tenant, "operators")
    with pytest.raises(AgentappError, match="operators"):
        decide(person("max", tenant), asked(task))
    clock.advance(61)
    assert [reminders.remind(each, actor="dispatcher") for each in reminders.due()] == ["reminded"]

    assert decide(kim, asked(task)).state == "pending" and the_job(task).state == "retryable"
    assert decide(lee, asked(task)).state == "approved"
    assert go_on(task).state == "completed" and histories_are_legal()


def test_a_sample_lets_mails_of_low_risk_pass_job_by_job(principal: Principal, tenant: Tenant) -> None:
    policy(sample_percent=0)
    mail = {"to": "a@sample.test", "subject": "Hi", "body": "Done."}
    more: dict[str, Any] = {"risk": "low", "evaluation": {"verdict": "pass"}}
    RUNS.clear()
    task = refunds(principal, 1)
    PROPOSED["content"] = mail

    task = harness.run_workflow(principal, "probe_refunds", {"amounts": [20, 30], **more})

    assert task.state == "completed" and set(Approval.objects.values_list("state", flat=True)) == {"approved"}
    # Arguments of tools never do.
    assert refunds(principal, 20, **more).state == "running"


def test_bytes_that_are_not_those_that_were_approved_are_asked_again(principal: Principal, tenant: Tenant) -> None:
    task, kim = refunds(principal, 20), person("kim", tenant)
    decide(kim, asked(task))
    # The body proposes something else than what it had asked.
    PROPOSED["content"] = content_of(99)
    go_on(task)
    assert asked(task).content == content_of(99) and the_job(task).state == "retryable"
    decide(kim, asked(task))
    # What stands there is not what was decided.
    Approval.objects.filter(content=content_of(99)).update(content=content_of(98))
    go_on(task)
    assert asked(task).content == content_of(99)
    assert sorted(Approval.objects.values_list("state", flat=True)) == ["approved", "pending", "reopened"]
    reopened = History.objects.get(approval_id=Approval.objects.get(state="reopened").pk, to_state="reopened")
    assert reopened.from_state == "approved"
    # What was approved first holds still, for those bytes.
    PROPOSED.clear()
    decide(kim, asked(task))
    assert go_on(task).state == "completed" and result_of(go_on(task))[0]["content"] == content_of(20)


def test_one_job_asks_several_things_one_after_the_other(principal: Principal, tenant: Tenant) -> None:
    task, kim = refunds(principal, 20, how="asks twice"), person("kim", tenant)
    decide(kim, asked(task))
    go_on(task)
    assert (asked(task).ask_key, asked(task).content) == ("again", content_of(21))
    decide(kim, asked(task))

    assert go_on(task).state == "completed" and len(RUNS) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"calls": [{"tool": "refund"}]}, "calls must be a list"),
        ({"x": {1, 2}}, "not JSON"),
        ({1: "x"}, "whose names are texts"),
        ({"x": "\x00"}, "cannot be stored"),
        ({"x": "a" * 2_000_000}, "at most"),
    ],
)
def test_what_no_person_could_decide_on_is_not_asked(principal: Principal, content: Any, said: str) -> None:
    refunds(principal, 1)
    PROPOSED["content"] = content

    task = harness.run_workflow(principal, "probe_refunds", {"amounts": [20]})
    assert said in error_of(task)["message"] and task.state == "needs_attention"
    assert not Approval.objects.exists()


def test_a_body_that_asks_something_else_at_each_run_comes_to_an_end(principal: Principal, tenant: Tenant) -> None:
    task, kim = refunds(principal, 20), person("kim", tenant)
    decide(kim, asked(task))
    row = Approval.objects.values().get() | {"state": "cancelled", "ask_key": "other"}
    Approval.objects.bulk_create(Approval(**row | {"id": uuid4()}) for _ in range(asking.MOST_QUESTIONS - 1))
    PROPOSED["content"] = content_of(99)

    assert go_on(task).state == "needs_attention" and "has asked a person 1000 times" in error_of(task)["message"]
    # What was approved holds still.
    PROPOSED.clear()
    dead_letters.replay(principal, the_job(task).pk)
    assert go_on(task).state == "completed"


def test_what_is_asked_is_a_payload(principal: Principal) -> None:
    """Who may not see payloads reads that there is a question, and not what it says."""
    task = refunds(principal, 20)

    told = History.objects.filter(workflow=task).values_list("reason", flat=True)
    assert "asks a person: refund" in told and not any("Refund 20" in reason for reason in told)
    assert "summary" in payload_fields.NAMES
