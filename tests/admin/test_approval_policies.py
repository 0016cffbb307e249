"""Approval policies in the admin, and the page of an approval that several people decide. [G2]"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.models import Approval, ApprovalPolicy, Tenant
from agentapp.services.principals import Principal
from tests.approvals.asking import KIND, ask, decide, person, policy

pytestmark = pytest.mark.django_db

POLICIES = "/admin/agentapp/approvalpolicy/"
FORM = {
    "name": "two people", "kind": KIND, "approvers": "agent, operator", "four_eyes": "yes", "quorum": "2",
    "sample_percent": "100", "on_expiry": "reject", "deadline_s": "3600", "may_change_recipient": "no",
}  # fmt: skip


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_a_policy_is_made_changed_and_deleted(operator: Client, tenant: Tenant) -> None:
    made = operator.post(f"{POLICIES}add/", FORM | {"tenant": tenant.slug}, follow=True)
    row = ApprovalPolicy.objects.get()
    page = reverse("admin:agentapp_approvalpolicy_change", args=(row.pk,))
    assert made.redirect_chain[-1][0] == page and "holds for what is asked from now on" in text_of(made)
    assert (row.approvers, row.four_eyes, row.quorum, row.on_expiry) == (["agent", "operator"], True, 2, "reject")
    assert "agent, operator" in text_of(operator.get(POLICIES))

    operator.post(page, FORM | {"quorum": "3", "deadline_s": ""})
    row.refresh_from_db()
    assert (row.quorum, row.deadline_s, row.tenant) == (3, None, None)
    late = FORM | {"as_read": (row.updated_at - timedelta(seconds=1)).isoformat()}
    assert [operator.post(page, late | {"action": each}).status_code for each in ("", "delete")] == [409, 409]
    assert late["as_read"] in operator.post(page, late | {"reason": "x" * 301}).content.decode()
    gone = operator.post(page, {"action": "delete", "reason": "over"}, follow=True)
    assert gone.redirect_chain[-1][0] == POLICIES and not ApprovalPolicy.objects.exists()


def test_what_does_not_fit_stands_beside_its_field(operator: Client) -> None:
    answer = operator.post(f"{POLICIES}add/", FORM | {"quorum": "many", "approvers": "nobody"})

    wrong = dict(re.findall(r'<p class="error" id="wrong-(\w+)">(.*?)</p>', answer.content.decode()))
    assert answer.status_code == 422 and set(wrong) == {"quorum", "approvers"}
    assert not ApprovalPolicy.objects.exists()


def test_a_member_of_a_tenant_sees_no_policies(member: Client, tenant: Tenant) -> None:
    row = policy(tenant=tenant)

    assert member.get(POLICIES).status_code == 403
    assert member.get(reverse("admin:agentapp_approvalpolicy_change", args=(row.pk,))).status_code == 403
    assert member.post(f"{POLICIES}add/", FORM).status_code == 403


def test_the_page_says_what_is_missing_and_what_counts_no_longer(
    operator: Client, principal: Principal, tenant: Tenant
) -> None:
    policy(name="careful", quorum=2)
    approval = ask(principal)
    decide(person("kim", tenant), approval)
    page = reverse("admin:agentapp_approval_change", args=(approval.pk,))
    shown = text_of(operator.get(page))
    assert "Asked by the policy <strong>careful</strong>: 2 people must approve" in shown and "1 of them still" in shown

    form = {"decision": "edit", "content_sha256": approval.content_sha256, "body": "Other words.", "subject": "probe"}
    said = text_of(operator.post(page, form, follow=True))
    assert "Your edit is saved. Votes that are still missing for this content: 1." in said
    assert "kim</bdi>: approved, before the content was edited: this vote counts no longer" in text_of(
        operator.get(page)
    )
    assert Approval.objects.get().state == "pending"


def test_the_page_refuses_with_the_sentence_of_the_policy(
    operator: Client, principal: Principal, tenant: Tenant
) -> None:
    policy(name="careful", approvers=["approver"])
    approval = ask(principal)
    page = reverse("admin:agentapp_approval_change", args=(approval.pk,))
    sentence = "By the policy careful only people of these groups decide here: approver."

    assert sentence in text_of(operator.get(page))
    form = {"decision": "approve", "content_sha256": approval.content_sha256}
    for shows in (POLICIES.replace("approvalpolicy", "approval"), page, "/admin/"):
        assert re.search("(?i)nobody can decide|decided by nobody", text_of(operator.get(shows)))
    answer = operator.post(page, form)
    assert answer.status_code == 403 and sentence in text_of(answer)
