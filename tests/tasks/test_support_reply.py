"""A support question from submission to the mail that a person approved. [C4]"""

from __future__ import annotations

import email
import json
from collections.abc import Sequence
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.delivery.outbox import EmailBackend
from agentapp.errors import InvalidInput, LostLease
from agentapp.lifecycle import lose
from agentapp.models import Approval, Artifact, Effect, Job, Workflow
from agentapp.policies.content import canonical_sha256
from agentapp.services import approvals, dead_letters, workflows
from agentapp.services.principals import Principal
from tasks.evaluate_answer import UNFOUNDED
from tasks.flows.support_reply import REVISIONS
from tests.harness import drain, make_due, run_workflow
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db(transaction=True)

ONE_PART = {"subject": "Password", "body": "How do I reset my password?", "customer_email": "customer@sample.test"}
TWO_PARTS = ONE_PART | {
    "subject": "Two questions",
    "body": "How do I reset my password? And how many requests a minute does the API allow?",
}
UNANSWERABLE = ONE_PART | {"subject": "Colours", "body": "Do you paint bicycles purple?"}


def outputs(workflow: Workflow, job_type: str) -> list[dict[str, Any]]:
    jobs = Job.objects.filter(workflow=workflow, type=job_type, state="completed")
    jobs = jobs.order_by("stage__position", "part")
    return [job.output or {} for job in jobs]


def pending(workflow: Workflow) -> Approval:
    return Approval.objects.get(workflow=workflow, state="pending")


def decide(principal: Principal, workflow: Workflow, decision: str, **more: Any) -> Workflow:
    approval = pending(workflow)
    approvals.decide(principal, approval.pk, decision=decision, content_sha256=approval.content_sha256, **more)
    drain(workflow)
    return Workflow.objects.get(pk=workflow.pk)


def completion(text: str) -> dict[str, Any]:
    """The body of a chat completion that says just this."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "offline", "choices": [choice]}


def mails(outbox: Path) -> list[EmailMessage]:
    return [email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(outbox.glob("*.eml"))]


def test_a_question_becomes_a_draft_with_citations_and_waits_for_a_person(
    principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    workflow = run_workflow(principal, "support_reply", ONE_PART)

    assert workflow.state == "awaiting_approval"
    approval = pending(workflow)
    assert (approval.content["to"], approval.content["subject"]) == ("customer@sample.test", "Re: Password")
    assert approval.content_sha256 == canonical_sha256(approval.content)
    cited = [(source["n"], source["title"], source["source"]) for source in approval.sources]
    assert cited and all(f"[{n}]" in approval.content["body"] for n, _, _ in cited)
    assert ("Passwords and signing in", "documents") in [cite[1:] for cite in cited]
    assert approval.evaluation is not None and approval.evaluation["verdict"] == "pass"
    assert mails(outbox) == []


def test_the_approved_mail_is_sent_once_byte_for_byte(
    principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    workflow = run_workflow(principal, "support_reply", ONE_PART)
    content = pending(workflow).content

    workflow = decide(principal, workflow, "approve")

    assert workflow.state == "completed"
    (sent,) = mails(outbox)
    assert (sent["To"], sent["Subject"]) == (content["to"], content["subject"])
    assert sent.get_content().rstrip("\n") == content["body"]
    effect = Effect.objects.get(workflow_id=workflow.pk)
    result = workflow.result or {}
    assert (result["outcome"], result["decision"], result["effect_id"]) == ("sent", "approved", str(effect.pk))
    assert result["message_id"] == sent["Message-ID"] and result["reply"] == content
    assert effect.state == "confirmed" and effect.request_sha256 == canonical_sha256(content)


def test_an_edited_reply_is_what_is_sent(principal: Principal, support_model: OfflineModel, outbox: Path) -> None:
    workflow = run_workflow(principal, "support_reply", ONE_PART)
    edited = {**pending(workflow).content, "body": "Written by a person."}

    workflow = decide(principal, workflow, "edit", content=edited)

    assert (workflow.result or {})["reply"] == edited
    assert mails(outbox)[0].get_content().strip() == "Written by a person."


def test_a_rejected_reply_ends_the_task_without_a_mail(
    principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    workflow = run_workflow(principal, "support_reply", ONE_PART)

    workflow = decide(principal, workflow, "reject", reason="We answer this by telephone.")

    assert workflow.state == "completed" and (workflow.result or {})["outcome"] == "rejected"
    assert mails(outbox) == []


def test_half_an_answer_is_revised_with_the_critique(principal: Principal, support_model: OfflineModel) -> None:
    workflow = run_workflow(principal, "support_reply", TWO_PARTS)

    verdicts = [(output["verdict"], output["score"] >= 0.7) for output in outputs(workflow, "evaluate_answer")]
    assert verdicts == [("revise", False), ("pass", True)]
    body = pending(workflow).content["body"]
    assert "Forgot password" in body and "Sixty requests a minute" in body


def test_a_draft_that_stays_below_the_bar_goes_to_the_person_flagged(
    principal: Principal, support_model: OfflineModel
) -> None:
    verdict = {"score": 0.1, "grounded": False, "complete": False, "critique": "Everything is missing."}
    support_model.fail(
        "status", status=200, body=completion(json.dumps(verdict)), match={"schema_name": "evaluation"}, times=None
    )

    workflow = run_workflow(principal, "support_reply", ONE_PART)

    assert len(outputs(workflow, "generate_draft")) == 1 + REVISIONS
    assert pending(workflow).evaluation == {**verdict, "verdict": "revise"}


def test_a_request_for_changes_leads_to_a_different_draft(
    principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    workflow = run_workflow(principal, "support_reply", ONE_PART)
    first = pending(workflow).content["body"]

    workflow = decide(principal, workflow, "request_changes", reason="Please mention how locked accounts are unlocked.")

    assert workflow.state == "awaiting_approval"
    second = pending(workflow).content["body"]
    assert second != first and "locked" in second.lower()
    drafts = [request for request in support_model.requests() if "<previous_draft>" in str(request["body"])]
    assert any("mention how locked accounts" in str(request["body"]) for request in drafts)
    assert decide(principal, workflow, "approve").state == "completed"
    assert [sent.get_content().rstrip("\n") for sent in mails(outbox)] == [second]


def test_a_question_that_the_knowledge_base_cannot_answer_says_so(
    principal: Principal, support_model: OfflineModel
) -> None:
    approval = pending(run_workflow(principal, "support_reply", UNANSWERABLE))

    assert "does not contain an answer" in approval.content["body"]
    assert approval.sources == []
    assert approval.evaluation is not None and approval.evaluation["critique"].startswith(UNFOUNDED)
    assert (approval.evaluation["score"], approval.evaluation["grounded"]) == (0.0, False)


def test_the_ticket_decides_priority_risk_and_sources(principal: Principal, support_model: OfflineModel) -> None:
    calm = run_workflow(principal, "support_reply", ONE_PART)
    urgent = run_workflow(
        principal,
        "support_reply",
        ONE_PART | {"subject": "Urgent!", "body": "My lawyer wants all invoices immediately. Where are they?"},
    )

    assert (calm.priority, urgent.priority) == (2, 0)
    assert (calm.risk, urgent.risk) == ("medium", "high")
    for workflow in (calm, urgent):
        (ticket,) = outputs(workflow, "classify_ticket")
        assert "documents" in ticket["sources"]
        assert [part["source"] for part in outputs(workflow, "retrieve_context")] == ticket["sources"]


def test_an_approved_reply_is_a_source_for_the_next_question(
    principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    first = run_workflow(principal, "support_reply", ONE_PART)
    edited = {**pending(first).content, "body": "Sample bicycles are painted purple on Fridays."}
    decide(principal, first, "edit", content=edited)

    workflow = run_workflow(principal, "support_reply", UNANSWERABLE)

    parts = {part["source"]: part for part in outputs(workflow, "retrieve_context")}
    assert parts["documents"]["mode"] == "fused"
    assert [found["title"] for found in parts["approved_replies"]["passages"]] == ["Earlier reply: Re: Password"]
    approval = pending(workflow)
    assert "painted purple on Fridays" in approval.content["body"]
    assert [source["source"] for source in approval.sources] == ["approved_replies"]


def test_a_request_that_the_model_refuses_is_a_dead_letter_and_replayed_to_the_end(
    principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    support_model.fail("status", match={"contains": "<passages>"}, status=400)
    workflow = run_workflow(principal, "support_reply", ONE_PART)
    assert workflow.state == "needs_attention"
    dead = Job.objects.get(workflow=workflow, state="dead_lettered")
    assert dead.type == "generate_draft"

    dead_letters.replay(principal, dead.pk)
    drain(workflow)

    assert decide(principal, workflow, "approve").state == "completed"
    assert len(mails(outbox)) == 1


class DiesAfterSending(EmailBackend):
    """The outbox of a worker that is killed between the mail and its own confirmation."""

    def send_messages(self, email_messages: Sequence[mail.EmailMessage]) -> int:
        super().send_messages(email_messages)
        # After this an attempt records nothing, as if its process were gone.
        raise LostLease("killed")


def test_a_mail_that_was_sent_before_the_worker_died_is_found_and_not_sent_again(
    principal: Principal, support_model: OfflineModel, outbox: Path, settings: Settings, clock: Clock
) -> None:
    workflow = run_workflow(principal, "support_reply", ONE_PART)
    settings.EMAIL_BACKEND = f"{__name__}.DiesAfterSending"
    decide(principal, workflow, "approve")
    assert (Effect.objects.get(workflow_id=workflow.pk).state, len(mails(outbox))) == ("sent", 1)

    settings.EMAIL_BACKEND = "agentapp.delivery.outbox.EmailBackend"
    clock.advance(3600)
    (job,) = lose.expired()
    lose.lose(job, actor="dispatcher")
    drain(workflow)

    workflow.refresh_from_db()
    assert workflow.state == "completed"
    assert (Effect.objects.get(workflow_id=workflow.pk).state, len(mails(outbox))) == ("confirmed", 1)
    assert (workflow.result or {})["message_id"] == mails(outbox)[0]["Message-ID"]


def test_an_outbox_that_cannot_be_written_is_tried_again_later_under_the_same_effect(
    principal: Principal, support_model: OfflineModel, outbox: Path, clock: Clock
) -> None:
    workflow = run_workflow(principal, "support_reply", ONE_PART)
    outbox.write_text("a file where the folder should be")
    assert decide(principal, workflow, "approve").state == "running"
    effect = Effect.objects.get(workflow_id=workflow.pk)
    assert effect.state == "prepared"

    outbox.unlink()
    make_due(clock, 60)
    drain(workflow)

    assert [path.stem for path in outbox.glob("*.eml")] == [str(effect.pk)]
    assert Workflow.objects.get(pk=workflow.pk).state == "completed"


def test_outputs_are_small_and_texts_are_artifacts(principal: Principal, support_model: OfflineModel) -> None:
    workflow = run_workflow(principal, "support_reply", TWO_PARTS)

    assert all(len(str(job.output)) < 12_000 for job in Job.objects.filter(workflow=workflow))
    assert {artifact.name for artifact in Artifact.objects.filter(workflow=workflow)} >= {
        "draft.txt", "passages.json", "passages-documents.json"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": "  "}, "input.subject"),
        ({"subject": "x" * 301}, "input.subject"),
        ({"body": ""}, "input.body"),
        ({"body": "x" * 20_001}, "input.body"),
        ({"customer_email": "nobody"}, "input.customer_email"),
        ({"customer_email": "a@b.example\nBcc: c@d.example"}, "input.customer_email"),
        ({"surplus": 1}, "input.surplus"),
        ({"body": 5}, "input.body"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_its_field(
    principal: Principal, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        workflows.submit(principal, kind="support_reply", input=ONE_PART | change)

    assert [error["field"] for error in refused.value.errors] == [field]
    assert not Workflow.objects.exists()
