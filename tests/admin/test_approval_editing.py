"""An edit is never lost and never ignored, and high risk takes a second step that the server checks. [G3] [G6]"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.models import Approval
from agentapp.policies.content import canonical_sha256
from agentapp.services import approvals
from agentapp.services.principals import Principal

pytestmark = pytest.mark.django_db


def _address(approval: Approval) -> str:
    return reverse("admin:agentapp_approval_change", args=(approval.pk,))


def _decide(client: Client, approval: Approval, decision: str, **more: str) -> Any:
    """Send the form of the editor, which "Approve" belongs to as well."""
    form = {"decision": decision, "content_sha256": approval.content_sha256}
    texts = {name: approval.content[name] for name in ("subject", "body")}
    return client.post(_address(approval), form | texts | more)


def _state(approval: Approval) -> str:
    approval.refresh_from_db()
    return approval.state


def test_what_was_shown_is_not_approved_while_an_edit_is_not_saved(member: Client, waiting: Approval) -> None:
    answer = _decide(member, waiting, "approve", body="Half of my text.")

    text = answer.content.decode()
    assert (answer.status_code, _state(waiting)) == (422, "pending")
    assert "You have an edit that is not saved." in text and "Half of my text." in text and 'id="edit"' in text


@pytest.mark.parametrize("body", ["One.\nTwo.", "One.\r\nTwo.", "\nOne.\r\nTwo.\n", "One.\rTwo."])
def test_a_text_that_a_browser_sends_back_as_it_was_is_no_edit(member: Client, waiting: Approval, body: str) -> None:
    content = waiting.content | {"body": body}
    sha256 = canonical_sha256(content)
    Approval.objects.filter(pk=waiting.pk).update(content=content, content_sha256=sha256)
    waiting.refresh_from_db()
    sent = body.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")

    assert _decide(member, waiting, "edit", body=sent).status_code == 302

    assert _state(waiting) == "approved"
    assert (waiting.content, waiting.approved_sha256) == (content, sha256)


def test_who_comes_second_finds_the_own_text_to_copy(member: Client, waiting: Approval, principal: Principal) -> None:
    approvals.decide(principal, waiting.pk, decision="reject", content_sha256=waiting.content_sha256, reason="No.")

    answer = _decide(member, waiting, "edit", body="An hour of my work.")

    text = answer.content.decode()
    assert answer.status_code == 409
    kept = text[text.index('id="too-late"') :]
    assert "Your text was not sent." in text and "An hour of my work." in kept[: kept.index("</textarea>")]
    # A recipient and the fields of a package too.
    assert f"to: {waiting.content['to']}" in kept[: kept.index("</textarea>")]
    assert "agentapp_decided" not in answer.cookies


def test_a_decision_tells_the_browser_to_forget_the_text(member: Client, waiting: Approval) -> None:
    answer = _decide(member, waiting, "edit", body="Mine.")

    assert answer.cookies["agentapp_decided"].value.endswith(f":{waiting.pk}")


def test_a_refused_subject_is_explained_beside_its_field(member: Client, waiting: Approval) -> None:
    text = _decide(member, waiting, "edit", subject="Two\u2028lines").content.decode()

    field = text[text.index('id="edit-subject"') : text.index('id="edit-body"')]
    assert 'aria-describedby="error-subject"' in field and "A subject is one line of printable characters" in field


def test_an_emptied_text_stays_empty_when_it_is_refused(member: Client, waiting: Approval) -> None:
    text = _decide(member, waiting, "edit", body="").content.decode()

    field = text[text.index('<textarea id="edit-body"') :]
    assert field[field.index(">") + 1 : field.index("</textarea>")].strip() == ""
    assert _state(waiting) == "pending"


@pytest.fixture
def risky(waiting: Approval) -> Approval:
    Approval.objects.filter(pk=waiting.pk).update(risk="high")
    waiting.refresh_from_db()
    return waiting


def test_high_risk_takes_a_second_step_that_names_the_bytes(member: Client, risky: Approval) -> None:
    asked = _decide(member, risky, "approve")

    text = asked.content.decode()
    assert (asked.status_code, _state(risky)) == (200, "pending")
    assert "Second step: confirm" in text and f'name="confirmed_sha256" value="{risky.content_sha256}"' in text
    assert "Approve and send" not in text

    assert _decide(member, risky, "approve", confirmed_sha256=risky.content_sha256).status_code == 302
    assert _state(risky) == "approved"


def test_a_confirmation_is_good_for_one_text(member: Client, risky: Approval) -> None:
    edited = canonical_sha256(risky.content | {"body": "Mine."})

    asked = _decide(member, risky, "edit", body="Mine.").content.decode()
    assert f'name="confirmed_sha256" value="{edited}"' in asked and "<ins>Mine" in asked
    _decide(member, risky, "edit", body="Not mine.", confirmed_sha256=edited)
    assert _state(risky) == "pending"

    _decide(member, risky, "edit", body="Mine.", confirmed_sha256=edited)
    assert (_state(risky), risky.content["body"]) == ("approved", "Mine.")


def test_who_has_read_an_older_text_is_offered_no_second_step(member: Client, risky: Approval) -> None:
    """It would approve the older text, as an edit of theirs."""
    content = risky.content | {"body": "Corrected meanwhile."}
    Approval.objects.filter(pk=risky.pk).update(content=content, content_sha256=canonical_sha256(content))

    answer = _decide(member, risky, "approve")

    assert answer.status_code == 409 and "Second step" not in answer.content.decode()


def test_rejecting_takes_one_step_at_any_risk(member: Client, risky: Approval) -> None:
    _decide(member, risky, "reject", reason="No.")

    assert _state(risky) == "rejected"


def test_texts_are_kept_under_the_person_and_the_approval(member: Client, waiting: Approval, operator: Client) -> None:
    mine, others = (client.get(_address(waiting)).content.decode() for client in (member, operator))

    place = f'data-approval="{waiting.pk}" data-person="'
    assert place in mine and place in others
    assert mine.split(place)[1].split('"')[0] != others.split(place)[1].split('"')[0]


def _ask_by(approval: Approval, **rules: Any) -> None:
    Approval.objects.filter(pk=approval.pk).update(policy={"name": "Refunds", **rules})


def test_a_recipient_is_edited_only_where_the_policy_allows_it(member: Client, waiting: Approval) -> None:
    assert 'id="edit-to"' not in member.get(_address(waiting)).content.decode()
    _ask_by(waiting, may_change_recipient=True)
    assert 'id="edit-to"' in member.get(_address(waiting)).content.decode()

    wrong = _decide(member, waiting, "edit", to="one@sample.test,two@sample.test").content.decode()
    assert 'aria-describedby="error-to"' in wrong and "Write one mail address alone" in wrong
    confirmed = canonical_sha256(waiting.content | {"to": "second@sample.test"})
    asked = _decide(member, waiting, "edit", to="second@sample.test").content.decode()
    assert _state(waiting) == "pending" and f'name="confirmed_sha256" value="{confirmed}"' in asked
    assert "The recipient was changed. It goes to" in asked and "This is not the customer" in asked
    _decide(member, waiting, "edit", to="second@sample.test", confirmed_sha256=confirmed)

    assert (_state(waiting), waiting.content["to"]) == ("approved", "second@sample.test")
    assert '<b dir="auto">second@sample.test</b> instead of' in member.get(_address(waiting)).content.decode()


def test_the_second_step_names_the_recipient_of_the_edit(member: Client, risky: Approval) -> None:
    _ask_by(risky, may_change_recipient=True)
    before = risky.content["to"]

    text = _decide(member, risky, "edit", to="second@sample.test").content.decode()

    step = text[text.index("Second step: confirm") : text.index("Back, send nothing")]
    assert f'It goes to <b dir="auto">second@sample.test</b> instead of <b dir="auto">{before}</b>' in step
    assert "sends exactly this text to second@sample.test, once." in step
    assert f"to {before}" not in step and "What will be sent" not in text


def test_the_page_says_which_policy_asked_and_why_somebody_else_must_decide(member: Client, waiting: Approval) -> None:
    _ask_by(waiting, approvers=["Finance"], quorum=2)

    text = member.get(_address(waiting)).content.decode()

    assert "<strong>Refunds</strong>: 2 people must approve the same content" in text
    assert "Deciding groups: Finance." in text
    assert "only people of these groups decide here: Finance." in text
    assert "Approve and send" not in text and "data-draft" not in text


def test_texts_of_fields_that_a_package_has_named_are_edited(member: Client, waiting: Approval) -> None:
    """One is called as another part of the form; what is no text stays."""
    content = {"order": 17, "reason": "too late", "note": "first\nsecond"}
    Approval.objects.filter(pk=waiting.pk).update(content=content, content_sha256=canonical_sha256(content))
    waiting.refresh_from_db()
    form = {"decision": "edit", "content_sha256": waiting.content_sha256, "reason": "a remark", "content.order": "18"}

    shown = member.get(_address(waiting)).content.decode()
    assert '<textarea id="edit-own-0" name="content.note"' in shown and 'name="content.reason"' in shown
    assert "content.order" not in shown
    assert member.post(_address(waiting), form | {"content.note": " "}).status_code == 422
    # A form that holds none of the texts approves nothing.
    assert member.post(_address(waiting), form | {"subject": "Hi", "body": "x"}).status_code == 422
    assert _state(waiting) == "pending"
    assert member.post(_address(waiting), form | {"content.note": "by hand"}).status_code == 302

    assert (_state(waiting), waiting.reason) == ("approved", "a remark")
    assert waiting.content == content | {"note": "by hand"}
