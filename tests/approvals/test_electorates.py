"""What nobody can decide is said, by the groups as they are now. [G2]"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from agentapp.models import Approval, Tenant
from agentapp.services import electorates, operations
from agentapp.services.principals import Principal
from tests.approvals.asking import ask, decide, edit, person, policy

pytestmark = pytest.mark.django_db


def said(approval: Approval) -> str:
    return electorates.undecidable([Approval.objects.get(pk=approval.pk)])[approval.pk]


def test_a_group_that_is_renamed_leaves_nobody(principal: Principal, tenant: Tenant, other_tenant: Tenant) -> None:
    policy(approvers=["finance"], quorum=2)
    kim = person("kim", tenant, "finance")
    person("elsewhere", other_tenant, "finance")
    approval = ask(principal)
    assert "2 of the groups finance must approve, and by the members of now 1 can" in said(approval)

    lee = person("lee", tenant, "finance")
    assert said(approval) == "" and operations.undecidable(Approval.objects.all()) == 0
    decide(kim, approval)
    assert said(approval) == ""
    Group.objects.filter(name="finance").update(name="money")
    assert "none can" in said(approval) and operations.undecidable(Approval.objects.all()) == 1
    assert lee.user


def test_authors_and_those_who_left_do_not_count(principal: Principal, tenant: Tenant) -> None:
    policy(four_eyes=True)
    kim, lee, approval = person("kim", tenant), person("lee", tenant), ask(principal)
    edit(kim, approval, "other words")
    assert lee.user and said(approval) == ""
    lee.user.is_active = False
    lee.user.save()
    assert said(approval).startswith("Nobody can decide this: 1 of those who have the right to decide")


def test_without_rules_about_people_a_key_decides(principal: Principal) -> None:
    policy(deadline_s=60)
    assert said(ask(principal)) == ""


def test_a_policy_that_asks_for_too_many_is_warned_of(tenant: Tenant) -> None:
    row = policy(tenant=tenant, approvers=["finance"], escalate_to=["board"], quorum=2)
    person("kim", tenant, "finance")
    assert electorates.warning(row).startswith(f"Nobody can decide in {tenant.slug}: 2 of the groups finance, board")
    person("lee", tenant, "board")
    assert electorates.warning(row) == "" and electorates.warning(policy(name="plain", kind="x")) == ""
