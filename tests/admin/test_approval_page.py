"""Everything that is needed to decide is on the page of an approval. [G1]"""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from agentapp.admin import cited_text
from agentapp.api import approval_shapes
from agentapp.models import Approval, Tenant, Workflow
from agentapp.policies.content import canonical_sha256
from agentapp.services import approvals, forks
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import Start
from tests.approvals.asking import decide, person


def _page(client: Client, approval: Approval, **query: str) -> str:
    return client.get(reverse("admin:agentapp_approval_change", args=(approval.pk,)), query).content.decode()


def _ask_again(client: Client, approval: Approval, remark: str) -> Approval:
    """Request changes by the page, and return the approval of the next draft."""
    form = {"decision": "request_changes", "content_sha256": approval.content_sha256, "reason": remark}
    client.post(reverse("admin:agentapp_approval_change", args=(approval.pk,)), form)
    harness.drain()
    return Approval.objects.get(workflow_id=approval.workflow_id, state="pending")


@pytest.mark.django_db
def test_the_question_of_the_customer_stands_beside_the_answer(member: Client, start: Start) -> None:
    approval = Approval.objects.get(workflow=start(body="Where?\n" + "x" * 2_000))
    Workflow.objects.filter(pk=approval.workflow_id).update(
        labels={"channel": "shop"}, tokens=12_345, cost_usd="0.0421"
    )  # fmt: skip

    text = _page(member, approval)

    question = text[text.index("The question") : text.index('id="sources"')]
    assert "Where are my invoices?" in question and "reader@sample.test" in question and "Where?" in question
    assert "Show the other 507 characters of body" in question
    assert "channel: shop" in text
    assert re.search(r"<dt>Cost so far</dt><dd>\S*0[.]042\S*, 12,?345 tokens</dd>", text)


@pytest.mark.django_db
def test_earlier_tasks_of_the_same_customer_are_shown_with_what_was_answered(
    member: Client, start: Start, principal: Principal, other_principal: Principal
) -> None:
    before = start(subject="The year before", customer_email="Reader@Sample.test")
    sent = Approval.objects.get(workflow=before)
    approvals.decide(principal, sent.pk, decision="approve", content_sha256=sent.content_sha256)
    # What a tool was allowed to do afterwards is no answer.
    calls = {"stage": sent.stage, "tenant": sent.tenant, "state": "approved", "created_at": sent.created_at}
    Approval.objects.create(workflow=before, content={"calls": []}, draft={"calls": []}, sources=[], **calls)
    start(subject="Of somebody else", customer_email="other@sample.test", body="Write to reader@sample.test about it.")
    harness.run_workflow(other_principal, "sample_reply", {"subject": "Of another tenant"})
    approval = Approval.objects.get(workflow=start())
    harness.index()

    text = _page(member, approval)

    earlier = text[text.index("Earlier from this customer") : text.index('aria-label="Decision"')]
    assert "The year before" in earlier and "Approved answer" in earlier and "you asked" in earlier
    assert "Of somebody else" not in text and "Of another tenant" not in text


@pytest.mark.django_db
def test_a_mark_leads_to_its_source_and_a_sentence_without_one_is_marked(member: Client, waiting: Approval) -> None:
    body = "Invoices are kept under Billing. [1] They are free of any charge. So it says. [2]"
    Approval.objects.filter(pk=waiting.pk).update(content=waiting.content | {"body": body})

    text = _page(member, waiting)

    assert '<span class="sentence" data-cites="1">' in text and 'id="source-1" data-cites="1"' in text
    assert '<a class="cites" href="#source-1" data-cites="1">[1]</a>' in text
    assert '<span class="sentence bare">They are free of any charge.</span>' in text
    assert '<mark title="There is no source 2.">[2]</mark>' in text


@given(st.text(alphabet="ab .!?\n[]1,23\u3002\u200b", max_size=80))
def test_the_sentences_joined_are_the_text(text: str) -> None:
    found = cited_text.sentences(text, {"1", "2"})

    assert "".join(piece.text for sentence in found for piece in sentence.pieces) == text


@pytest.mark.parametrize("text", ["." * 50_000 + "x", ". " * 25_000, "[1," * 16_000, "! " + " " * 49_000 + "x"])
def test_a_text_of_stops_and_marks_is_split_in_one_pass(text: str) -> None:
    assert "".join(piece.text for each in cited_text.sentences(text, {"1"}) for piece in each.pieces) == text


@pytest.mark.django_db
def test_the_score_says_of_which_text_it_is(member: Client, waiting: Approval) -> None:
    assert "of the draft, not of this text" not in _page(member, waiting)

    changed = waiting.content | {"body": "Other words."}
    Approval.objects.filter(pk=waiting.pk).update(content=changed, content_sha256=canonical_sha256(changed))

    assert "of the draft, not of this text" in _page(member, waiting)


@pytest.mark.django_db
def test_earlier_remarks_stand_above_the_new_text_with_who_made_them(
    member: Client, operator: Client, waiting: Approval
) -> None:
    again = _ask_again(member, waiting, "Say where the button is.")
    third = _ask_again(operator, again, "Shorter.")

    text = _page(member, third)

    mine, others = text.index("You asked for:"), text.index("operator asked for:")
    assert others < mine
    assert "Say where the button is." in text[mine:] and "Shorter." in text[others:mine]


@pytest.mark.django_db
def test_any_two_revisions_are_compared(member: Client, waiting: Approval) -> None:
    third = _ask_again(member, _ask_again(member, waiting, "First remark."), "Second remark.")

    chosen = _page(member, third, before="3", after="1")
    assert "<ins>Second" in _page(member, third)
    assert "Changes from draft 3 to draft 1" in chosen and "<del>Second remark.\n\n</del>" in chosen
    for wrong in ("0", "99", "x", "1"):
        assert "Changes since the last time" in _page(member, third, before=wrong, after="1")


@pytest.mark.django_db
def test_the_page_says_what_follows_each_decision(member: Client, waiting: Approval, settings: Settings) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 10.0
    Workflow.objects.filter(pk=waiting.workflow_id).update(callback_url="https://shop.sample.test/told?key=secret")

    text = _page(member, waiting)

    assert (
        "sample_send sends exactly this text to reader@sample.test, once. It is sent in 10 s unless withdrawn." in text
    )
    assert "sample_draft runs again with your remark" in text
    assert "The task ends with the outcome rejected, and shop.sample.test is told." in text
    assert "key=secret" not in text


@pytest.mark.django_db
def test_a_recipient_who_is_not_the_customer_is_shown_loudly(
    member: Client, waiting: Approval, principal: Principal
) -> None:
    assert "The recipient is not the customer." not in _page(member, waiting)
    assert approval_shapes.one(principal, waiting)["bypassed_customer"] is None

    Approval.objects.filter(pk=waiting.pk).update(content=waiting.content | {"to": "thief@sample.test"})
    waiting.refresh_from_db()

    assert "The recipient is not the customer." in _page(member, waiting)
    assert approval_shapes.one(principal, waiting)["bypassed_customer"] == "reader@sample.test"


@pytest.mark.django_db
def test_the_record_of_an_edit_says_who_made_it(member: Client, waiting: Approval) -> None:
    form = {"decision": "edit", "content_sha256": waiting.content_sha256, "subject": "Mine"}
    member.post(reverse("admin:agentapp_approval_change", args=(waiting.pk,)), form)

    text = _page(member, waiting)

    assert "Edited by <bdi>member</bdi>: the changes are below." in text and "<ins>Mine</ins>" in text


@pytest.mark.django_db
@pytest.mark.parametrize("rules", [{"four_eyes": True}, {"quorum": 2}])
def test_who_has_edited_is_named_where_somebody_else_approves(
    member: Client, waiting: Approval, tenant: Tenant, rules: dict[str, object]
) -> None:
    Approval.objects.filter(pk=waiting.pk).update(policy={"name": "Two", **rules}, votes_missing=2)
    form = {"decision": "edit", "content_sha256": waiting.content_sha256, "subject": "Mine"}
    member.post(reverse("admin:agentapp_approval_change", args=(waiting.pk,)), form)
    assert ("approved, with an edit" in _page(member, waiting)) == ("quorum" in rules)
    last = decide(person("last", tenant), waiting)

    assert last.state == "approved" and "Edited by <bdi>member</bdi>: the changes are below." in _page(member, waiting)


@pytest.mark.django_db
def test_a_fork_of_a_task_that_has_sent_its_mail_says_so_before_anybody_decides(
    member: Client, start: Start, principal: Principal
) -> None:
    first, unsent = start(), start()
    sent = Approval.objects.get(workflow=first)
    approvals.decide(principal, sent.pk, decision="approve", content_sha256=sent.content_sha256)
    harness.drain()
    fork = forks.fork(principal, first.pk, from_stage="sample_draft")
    harness.drain()
    asks = Approval.objects.get(workflow=fork)
    sibling = Approval.objects.get(workflow=unsent)

    text = _page(member, asks)

    notice = text[text.index('aria-label="Already sent"') :]
    assert "Mail to" in notice and "reader@sample.test" in notice and str(first.pk) in notice
    assert "Already sent" not in _page(member, sibling) and "Already sent" not in _page(member, sent)
    # So does the form that makes a fork.
    form = member.get(f"/console/tasks/{first.pk}/").content.decode()
    assert "This task, or one of the same origin, has sent something already." in form
    assert "has sent something already" not in member.get(f"/console/tasks/{unsent.pk}/").content.decode()
    (shown,) = approval_shapes.one(principal, asks)["already_sent"]
    assert (shown["task"], shown["to"], shown["is_certain"]) == (str(first.pk), "reader@sample.test", True)
    assert approval_shapes.one(principal, sent)["already_sent"] == []


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</textarea></pre></title><script>alert(1)</script>",
    "{{ 7|add:7 }}{% now 'Y' %}",
    "javascript:alert(1)",
)


@pytest.mark.django_db
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_model_or_a_customer_becomes_markup(member: Client, start: Start, text: str) -> None:
    def tags(hostile: str) -> list[str]:
        approval = Approval.objects.get(workflow=start(subject=hostile, body=f"{hostile} [1]"))
        Workflow.objects.filter(pk=approval.workflow_id).update(labels={hostile: hostile})
        source = dict.fromkeys(("title", "heading", "text", "url", "source"), hostile) | {"n": 1}
        evaluation = {"score": 0.5, "critique": hostile, hostile: hostile}
        content = {"to": hostile, "subject": hostile, "body": f"Hello, {hostile} is so. [1]"}
        Approval.objects.filter(pk=approval.pk).update(content=content, sources=[source], evaluation=evaluation)
        page = _page(member, approval)
        page = page[page.index("approval-page") : page.index('class="neighbours"')]
        return re.findall(r"<(?!a |/a|span|/span|mark|/mark|ins|/ins|del|/del)[a-z/][^ >]*", page)

    assert tags(text) == tags("Plain words")
