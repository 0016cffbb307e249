"""scheduled_check: did the customer reply? If not, a follow-up is written for an approval. [C10]"""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from agentapp.models import Approval, Effect, Job, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys, approvals, principals, replies
from agentapp.services.principals import Principal
from tests.harness import drain, histories_are_legal, run_workflow
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = {"subject": "Password", "body": "How do I reset my password?", "customer_email": "customer@sample.test"}


@pytest.fixture
def asked(principal: Principal, provider: OfflineModel, settings: Settings) -> Workflow:
    """A task that waits for its approval."""
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""
    return run_workflow(principal, "support_reply", QUESTION)


@pytest.fixture
def sent(principal: Principal, asked: Workflow) -> Workflow:
    return decided(principal, asked, "approve")


def decided(principal: Principal, task: Workflow, decision: str, **more: Any) -> Workflow:
    approval = Approval.objects.get(workflow=task, state="pending")
    approvals.decide(principal, approval.pk, decision=decision, content_sha256=approval.content_sha256, **more)
    drain(task)
    return Workflow.objects.get(pk=task.pk)


def check(principal: Principal, task: Workflow, **input: Any) -> Workflow:
    return run_workflow(principal, "scheduled_check", {"task": str(task.pk), **input})


def answer(principal: Principal, task: Workflow, message_id: str = "<1@reader.test>") -> replies.Recorded:
    return replies.record(principal, task.pk, message_id=message_id, sender="customer@sample.test", text="Thanks!")


def result(task: Workflow) -> dict[str, Any]:
    assert isinstance(task.result, dict), list(Job.objects.exclude(error=None).values_list("type", "error"))
    return {name: value for name, value in task.result.items() if value is not None}


def test_a_reply_is_seen_and_nothing_more_is_written(principal: Principal, sent: Workflow) -> None:
    assert result(check(principal, sent)) == {"outcome": "silent", "replies": 0}
    first, again = answer(principal, sent), answer(principal, sent)
    answer(principal, sent, "<2@reader.test>")

    done = check(principal, sent, follow_up=True)

    assert (first.is_new, again.is_new, first.reply) == (True, False, again.reply)
    assert result(done) == {"outcome": "replied", "replies": 2}
    assert not Approval.objects.filter(workflow=done).exists() and histories_are_legal()


def test_a_customer_who_is_silent_is_written_to_once_a_person_approves(principal: Principal, sent: Workflow) -> None:
    waiting = check(principal, sent, follow_up=True)
    assert waiting.state == "awaiting_approval"
    again = decided(principal, waiting, "request_changes", reason="Shorter.")
    assert again.state == "awaiting_approval"
    effects = Effect.objects.count()

    done = decided(principal, again, "approve")

    told = result(done)
    assert (told["outcome"], told["follow_up"]) == ("silent", "sent")
    assert told["reply"]["to"] == QUESTION["customer_email"] and told["reply"]["subject"] == "Re: Password"
    assert Effect.objects.count() == effects + 1 and histories_are_legal()
    assert [message.subject for message in mail.outbox][-1:] == ["Re: Password"]


def test_a_customer_who_replies_before_the_approval_is_not_written_to(principal: Principal, sent: Workflow) -> None:
    waiting = check(principal, sent, follow_up=True)
    messages = len(mail.outbox)
    answer(principal, sent)

    done = decided(principal, waiting, "approve")

    assert done.state == "completed" and len(mail.outbox) == messages and histories_are_legal()
    assert result(done) == {"outcome": "silent", "replies": 0, "follow_up": "not sent: the customer has replied"}


def test_where_nothing_was_sent_nothing_is_missed(principal: Principal, asked: Workflow) -> None:
    rejected = decided(principal, asked, "reject", reason="no")

    assert result(check(principal, rejected, follow_up=True)) == {"outcome": "nothing sent", "replies": 0}


def test_a_task_that_is_not_over_is_a_dead_letter(principal: Principal, asked: Workflow) -> None:
    task = check(principal, asked)

    error = Job.objects.get(workflow=task, state="dead_lettered").error or {}
    assert task.state == "needs_attention" and "is not over" in error["message"]


def test_another_tenants_task_is_unknown(principal: Principal, sent: Workflow, other_tenant: Tenant) -> None:
    key, _ = api_keys.create(tenant=other_tenant, name="other", scopes=list(API_SCOPES))

    task = check(principals.of_key(key), sent)

    error = Job.objects.get(workflow=task, state="dead_lettered").error or {}
    assert "has no task" in error["message"]
