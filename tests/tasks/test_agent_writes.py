"""An agent writes only what a person has approved, or what its tool may write by itself. [C6] [G3] [H3]"""

from __future__ import annotations

import html
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from agentapp.models import ApiKey, Approval, Effect, Job, Workflow
from agentapp.policies.content import canonical_sha256
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import approvals, dead_letters
from agentapp.services.principals import Principal
from tests.harness import drain
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, pending, result, results, run, script

pytestmark = pytest.mark.django_db

MAIL = {"to": "ada@customer.example", "subject": "Hello", "body": "As agreed."}
SEND = call("send_message", MAIL)
TOOLS = ["send_message", "create_ticket", "calculate", "search_documents"]


def mails(outbox: Path) -> list[Path]:
    return sorted(outbox.glob("*.eml"))


def approve_only(principal: Principal, task: Workflow) -> None:
    """Approve what a task waits for, and run nothing."""
    approval = pending(task)
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)


def waiting(principal: Principal, *more: list[dict[str, object]] | str) -> Workflow:
    """A run that wants to send a mail."""
    task = run(principal, script([SEND], *more, "I am done."), tools=TOOLS)
    assert task.state == "awaiting_approval"
    return task


def test_a_person_sees_the_exact_arguments_and_approves_them(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    task = waiting(principal)
    content = {"calls": [{"id": "t001c0000", "tool": "send_message", "arguments": MAIL}]}
    assert pending(task).content == content
    assert pending(task).content_sha256 == canonical_sha256(content)
    assert mails(outbox) == []

    task = decide(principal, task, "approve")

    assert result(task)["outcome"] == "answered"
    assert len(mails(outbox)) == 1 and b"ada@customer.example" in mails(outbox)[0].read_bytes()
    (effect,) = Effect.objects.all()
    assert (effect.type, effect.state) == ("send_message", "confirmed")
    assert Job.objects.get(workflow=task, type="run_tool").tool == "send_message"
    assert Job.objects.get(workflow=task, type="run_tool").queue == "send"


def test_what_a_person_refuses_is_told_to_the_model(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    task = decide(principal, waiting(principal), "reject", reason="She left the company.")

    assert result(task)["outcome"] == "answered"
    assert results(task) == [("send_message", "refused", "Not run. A person refused: She left the company.")]
    assert mails(outbox) == [] and not Effect.objects.exists()


def test_a_request_for_changes_goes_back_to_the_model_with_the_remark(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    better = call("send_message", {**MAIL, "subject": "Good morning"})
    task = decide(principal, waiting(principal, [better]), "request_changes", reason="Be more formal.")

    assert task.state == "awaiting_approval"
    assert pending(task).content["calls"][0]["arguments"]["subject"] == "Good morning"
    told = agent_model.requests()[-1]["body"]["messages"][-1]
    assert told["content"] == "Not run. A person asks for changes: Be more formal."
    decide(principal, task, "approve")
    assert len(mails(outbox)) == 1


def test_an_approval_of_one_turn_is_none_for_the_same_call_of_the_next(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    task = decide(principal, waiting(principal, [SEND]), "approve")

    assert task.state == "awaiting_approval"
    assert pending(task).content["calls"][0]["id"] == "t002c0000"
    assert len(mails(outbox)) == 1


def test_reading_goes_on_beside_a_refused_write(principal: Principal, agent_model: OfflineModel) -> None:
    both = [SEND, call("calculate", expression="1 + 1")]
    task = decide(principal, run(principal, script(both, "Done."), tools=TOOLS), "reject", reason="No.")

    assert [(tool, status) for tool, status, _ in results(task)] == [("send_message", "refused"), ("calculate", "ok")]


def test_what_was_changed_after_the_approval_is_asked_again(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    """Each argument of the call, and the content of the approval."""
    task = waiting(principal)
    first = pending(task)
    approve_only(principal, task)
    job = Job.objects.get(workflow=task, type="run_tool")
    Approval.objects.filter(pk=first.pk).update(content={"calls": []})
    asked = [asked_again(task, job, MAIL)]
    for changed in MAIL:
        approve_only(principal, task)
        arguments = {**asked[-1], changed: "mallory@evil.example"}
        call = (Job.objects.get(pk=job.pk).payload or {})["call"]
        Job.objects.filter(pk=job.pk).update(
            payload={**(job.payload or {}), "call": {**call, "arguments": arguments}}
        )  # fmt: skip
        asked.append(asked_again(task, job, arguments))
    assert mails(outbox) == [] and not Effect.objects.exists()

    decide(principal, task, "approve")

    (mail,) = mails(outbox)
    assert mail.read_bytes().count(b"mallory@evil.example") >= len(MAIL)


def asked_again(task: Workflow, job: Job, arguments: dict[str, str]) -> dict[str, str]:
    """Run on: the job asks about what would run."""
    drain(task)
    question = pending(task)
    assert (question.job_id, question.summary) == (
        job.pk, "Run the tool send_message? The call is no longer what was approved."
    )  # fmt: skip
    (call,) = question.content["calls"]
    assert call["arguments"] == arguments
    return arguments


@pytest.mark.parametrize(("decision", "status", "sent"), [("approve", "ok", 1), ("reject", "refused", 0)])
def test_a_call_about_which_its_turn_has_asked_nobody_asks_itself(
    principal: Principal, agent_model: OfflineModel, outbox: Path, decision: str, status: str, sent: int
) -> None:
    """Such as one that an operator has edited, or whose tool was found to be risky since."""
    task = waiting(principal)
    approve_only(principal, task)
    job = Job.objects.get(workflow=task, type="run_tool")
    Job.objects.filter(pk=job.pk).update(payload={**(job.payload or {}), "approval": None})
    drain(task)
    question = pending(task)
    assert (question.job_id, question.summary) == (job.pk, "Run the tool send_message?")
    assert question.content["calls"][0]["arguments"] == MAIL and mails(outbox) == []

    task = decide(principal, task, decision, reason="No." if decision == "reject" else "")

    assert [(tool, how) for tool, how, _ in results(task)] == [("send_message", status)]
    assert len(mails(outbox)) == sent and task.state == "completed"


def test_a_scope_that_was_never_granted_hides_the_tool(principal: Principal, agent_model: OfflineModel) -> None:
    assert principal.api_key is not None
    ApiKey.objects.filter(pk=principal.api_key.pk).update(scopes=["tasks:write", "tasks:read"])

    task = run(principal, script([SEND], "Then not."), tools=TOOLS)

    assert result(task)["outcome"] == "answered" and results(task) == []
    offered = [tool["function"]["name"] for tool in agent_model.requests()[-1]["body"]["tools"]]
    assert offered == ["calculate"]
    assert "no tool 'send_message'" in agent_model.requests()[-1]["body"]["messages"][-1]["content"]


def test_a_scope_that_is_lost_before_the_tool_runs_is_a_dead_letter_of_permission(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    task = waiting(principal)
    assert principal.api_key is not None
    left = [scope for scope in API_SCOPES if scope != "tools:write"]
    ApiKey.objects.filter(pk=principal.api_key.pk).update(scopes=left)

    decide(principal, task, "approve")

    job = Job.objects.get(workflow=task, type="run_tool")
    assert (job.state, (job.error or {})["kind"], job.attempt) == ("dead_lettered", "permission", 1)
    assert mails(outbox) == [] and not Effect.objects.exists()


def test_a_mail_that_cannot_be_sent_is_told_to_the_model(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    bad = call("send_message", {**MAIL, "to": "nobody"})
    task = decide(principal, run(principal, script([bad], "Oh."), tools=TOOLS), "approve")

    assert [(tool, status) for tool, status, _ in results(task)] == [("send_message", "error")]
    assert "No mail was sent" in results(task)[0][2]
    assert result(task)["outcome"] == "answered"


def test_a_result_that_a_person_enters_by_hand_is_told_to_the_model(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    task = waiting(principal)
    approve_only(principal, task)
    job = Job.objects.get(workflow=task, type="run_tool")
    of_nobody = {"decision": "approved", "approval_id": str(uuid4())}
    Job.objects.filter(pk=job.pk).update(payload={**(job.payload or {}), "approval": of_nobody})
    drain(task)

    dead_letters.resolve(principal, job.pk, output={"text": "I have called her."}, reason="done by phone")
    drain(task)

    assert agent_model.requests()[-1]["body"]["messages"][-1]["content"] == "I have called her."
    assert mails(outbox) == []


def test_the_pages_show_the_exact_arguments_and_offer_no_edit_of_a_mail(
    principal: Principal, agent_model: OfflineModel, outbox: Path, client: Client, admin_user: User
) -> None:
    task = waiting(principal)
    client.force_login(admin_user)

    admin = client.get(reverse("admin:agentapp_approval_change", args=(pending(task).pk,))).content.decode()
    console = client.get(f"/console/tasks/{task.pk}/").content.decode()

    for page in (html.unescape(admin), html.unescape(console)):
        assert "send_message {\n" in page
        assert all(f'  "{name}": "{value}"' in page for name, value in MAIL.items())
        assert "Edit and approve" not in page
    assert "Request changes" in admin and "Decide on its page" in console
