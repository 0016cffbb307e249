"""Deciding an approval on its page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.models import Approval, Effect
from agentapp.services import approvals
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import Start
from tests.lifecycle import looping_kinds as looping_kinds

pytestmark = pytest.mark.django_db


def _address(approval: Approval) -> str:
    return reverse("admin:agentapp_approval_change", args=(approval.pk,))


def _decide(client: Client, approval: Approval, decision: str, **more: str) -> Any:
    form = {"decision": decision, "content_sha256": approval.content_sha256} | more
    return client.post(_address(approval), form, follow=True)


def test_the_page_shows_every_byte_the_sources_and_the_score(member: Client, waiting: Approval) -> None:
    text = member.get(_address(waiting)).content.decode()

    assert "reader@sample.test" in text and "Re: Where are my invoices?" in text
    assert "I cannot find last month&#x27;s invoice." in text
    assert "Invoices are kept under Billing &gt; Documents for ten years." in text
    assert "0.91" in text and "backed by the quoted passage" in text and waiting.content_sha256 in text
    assert "Below the required score" not in text


def test_a_draft_below_the_bar_is_flagged_on_page_and_in_the_inbox(member: Client, start: Start) -> None:
    approval = Approval.objects.get(workflow=start(score=0.4))

    assert "Below the required score" in member.get(_address(approval)).content.decode()
    assert "below the required score" in member.get(reverse("admin:agentapp_approval_changelist")).content.decode()


def test_only_a_web_address_of_a_source_becomes_a_link(member: Client, waiting: Approval) -> None:
    sources = [{"title": "Good", "url": "https://help.sample.test/"}, {"title": "Bad", "url": "javascript:alert(1)"}]
    Approval.objects.filter(pk=waiting.pk).update(sources=sources)

    text = member.get(_address(waiting)).content.decode()

    assert 'href="https://help.sample.test/"' in text and "javascript:" not in text


def test_approving_sends_what_was_shown(member: Client, waiting: Approval) -> None:
    answer = _decide(member, waiting, "approve")
    harness.drain()

    assert "Approved: it is being sent." in answer.content.decode()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.approved_sha256) == ("approved", waiting.content_sha256)
    assert waiting.decided_by_user is not None and waiting.decided_by_user.username == "member"
    assert Effect.objects.get(workflow_id=waiting.workflow_id).state == "confirmed"


def test_an_edit_changes_the_words_and_not_the_line_ends_or_the_recipient(member: Client, waiting: Approval) -> None:
    body = waiting.content["body"].replace("Kind regards", "Yours").replace("\n", "\r\n")
    _decide(member, waiting, "edit", subject="Your invoices", body=body, to="thief@sample.test")

    waiting.refresh_from_db()
    assert waiting.state == "approved"
    assert waiting.content == waiting.draft | {
        "subject": "Your invoices",
        "body": waiting.draft["body"].replace("Kind regards", "Yours"),
    }
    text = member.get(_address(waiting)).content.decode()
    assert "<del>Kind regards</del><ins>Yours</ins>" in text


def test_an_edited_subject_of_two_lines_is_refused_in_words_and_kept_in_the_form(
    member: Client, waiting: Approval
) -> None:
    answer = _decide(member, waiting, "edit", subject="Mine\u2028Bcc: thief@sample.test", body="What I had typed.")

    assert answer.status_code == 422
    text = answer.content.decode()
    assert text.count("ontent.subject: A subject is one line of printable characters") == 1
    assert "What I had typed." in text
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_a_request_for_changes_brings_another_draft_with_its_diff(member: Client, waiting: Approval) -> None:
    _decide(member, waiting, "request_changes", reason="Say where the button is.")
    harness.drain()

    waiting.refresh_from_db()
    again = Approval.objects.get(workflow_id=waiting.workflow_id, state="pending")
    assert (waiting.state, waiting.reason) == ("changes_requested", "Say where the button is.")
    assert again.content["body"] != waiting.content["body"]
    text = member.get(_address(again)).content.decode()
    assert "since the last time (changes requested)" in text and "<ins>Say where the button is." in text


def test_a_rejection_ends_the_task_with_its_reason(member: Client, waiting: Approval) -> None:
    _decide(member, waiting, "reject", reason="Not our customer.")

    waiting.workflow.refresh_from_db()
    assert waiting.workflow.state == "completed"
    assert (waiting.workflow.result or {})["outcome"] == "rejected"


@pytest.mark.parametrize("decision", ["request_changes", "reject"])
def test_what_needs_a_reason_says_so_and_changes_nothing(member: Client, waiting: Approval, decision: str) -> None:
    answer = _decide(member, waiting, decision, reason="  ")

    assert answer.status_code == 422
    assert "Say w" in answer.content.decode()
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_who_comes_second_reads_that_it_is_decided_and_loses_no_text(
    member: Client, waiting: Approval, principal: Principal
) -> None:
    approvals.decide(
        principal, waiting.pk, decision="reject", content_sha256=waiting.content_sha256, reason="Somebody was faster."
    )

    answer = _decide(member, waiting, "approve")

    assert answer.status_code == 409
    text = answer.content.decode()
    assert "already rejected" in text and "Somebody was faster." in text and 'class="go"' not in text


def test_a_decision_on_other_bytes_than_those_shown_is_refused(member: Client, waiting: Approval) -> None:
    form = {"decision": "edit", "content_sha256": "0" * 64, "subject": "Mine", "body": "What I had typed."}
    answer = member.post(_address(waiting), form)

    assert answer.status_code == 409
    assert "content has changed" in answer.content.decode()
    assert "What I had typed." in answer.content.decode()
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_the_inbox_has_the_longest_waiting_first_and_leads_from_one_to_the_next(member: Client, start: Start) -> None:
    first, second, third = (Approval.objects.get(workflow=start(subject=name)) for name in ("One", "Two", "Three"))
    answer = _decide(member, second, "approve")

    assert answer.redirect_chain[-1][0] == _address(third)
    inbox = member.get(reverse("admin:agentapp_approval_changelist")).content.decode()
    places = [inbox.index(str(approval.pk)) for approval in (first, third, second)]
    assert places == sorted(places)
    page = member.get(_address(first)).content.decode()
    assert f'href="{_address(third)}" data-key="j"' in page and 'data-key="k"' not in page


def test_a_decision_offers_only_what_its_plan_can_do(principal: Principal, admin_client: Client) -> None:
    run = harness.run_workflow(principal, "loop_agent", {"turns": [{"asks": True}, {}]})
    approval = Approval.objects.get(workflow=run)

    page = admin_client.get(f"/admin/agentapp/approval/{approval.pk}/change/").content.decode()

    assert "Approve and send" in page and "Why? The task goes on and is told so." in page
    assert "Request changes" not in page
