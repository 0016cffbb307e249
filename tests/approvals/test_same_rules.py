"""Who may decide: what `moves.may_not_decide` says behind the lock, and what Python tells people before they try."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import connection

from agentapp import clock
from agentapp.lifecycle import function_set
from agentapp.models import Approval, ApprovalVote, Delegation, Membership, Tenant
from agentapp.policies import approving
from agentapp.services import deciders, principals
from agentapp.services.principals import Principal
from tests.approvals.asking import again, ask, person

pytestmark = pytest.mark.django_db
RULE = """
  SELECT moves.may_not_decide(moves.lock_task(a.workflow_id, 'user:x', NULL), a, %s, %s, %s, %s)
    FROM agentapp_approval a WHERE a.id = %s
"""
RULES = product(([], ["finance"], ["agent"]), ([], ["board"]), (False, True), (False, True), (1, 2))


def in_database(approval: Approval, who: Principal, *, approves: bool, edits: bool) -> str:
    to = "approved" if approves else "rejected"
    names = principals.owner(who)
    with connection.cursor() as cursor:
        cursor.execute(
            function_set.in_schema(RULE), [to, edits, names["user_id"], names["api_key_id"], approval.pk]
        )  # fmt: skip
        return str(cursor.fetchone()[0])


def in_python(approval: Approval, who: Principal, *, approves: bool) -> str:
    groups = deciders.groups_of(who, approval.tenant_id)
    decider = deciders.decider_of(who, approval, groups, deciders.creators_of([approval])[approval.workflow_id])
    is_escalated = approval.escalated_at is not None
    return approving.rule_against(deciders.rules(approval), decider, is_escalated=is_escalated, approves=approves)


def people(approval: Approval, tenant: Tenant, other_tenant: Tenant) -> dict[str, Principal]:
    found = {
        "nobody": person("nobody", tenant), "finance": person("finance", tenant, "finance"),
        "board": person("board", tenant, "board"), "role": person("role", tenant), "creator": person("creator", tenant),
        "editor": person("editor", tenant, "finance"), "gone": person("gone", tenant, "finance"),
        "viewer": person("viewer", tenant, "finance"), "both": person("both", tenant, "finance", "board"),
    }  # fmt: skip
    Membership.objects.filter(user__username="role").update(role="agent")
    Membership.objects.filter(user__username="viewer").update(role="viewer")
    assert found["gone"].user is not None and found["editor"].user is not None and found["creator"].user is not None
    found["gone"].user.is_active = False
    found["gone"].user.save()
    approval.workflow.user = found["creator"].user
    approval.workflow.save(update_fields=["user"])
    ApprovalVote.objects.create(
        approval=approval, revision=0, user=found["editor"].user, decision="edited", has_edited=True, at=clock.now(),
        content_sha256=approval.content_sha256,
    )  # fmt: skip
    lent: list[tuple[str, dict[str, Any]]] = [
        ("finance", {}), ("gone", {}), ("viewer", {}), ("board", {"tenant": other_tenant}), ("editor", {}),
        ("role", {}), ("both", {"until": clock.now() - timedelta(seconds=1)}),
    ]  # fmt: skip
    for giver, more in lent:
        delegate, away = person(f"for {giver}", tenant).user, found[giver].user
        assert delegate is not None and away is not None
        values: dict[str, Any] = {"tenant": tenant, "until": clock.now() + timedelta(hours=1)} | more
        Delegation.objects.create(user=away, delegate=delegate, created_at=clock.now(), **values)
        found[f"for {giver}"] = again(delegate)
    return found


def test_the_database_and_the_pages_say_the_same(principal: Principal, tenant: Tenant, other_tenant: Tenant) -> None:
    approval = ask(principal)
    deciding = people(approval, tenant, other_tenant) | {"key": principal}
    seen = set()
    for approvers, escalate_to, is_escalated, four_eyes, quorum in RULES:
        approval.policy = {
            "name": "p", "approvers": approvers, "escalate_to": escalate_to, "four_eyes": four_eyes, "quorum": quorum,
        }  # fmt: skip
        approval.escalated_at = clock.now() if is_escalated else None
        approval.save(update_fields=["policy", "escalated_at"])
        for name, who in deciding.items():
            for approves in (True, False):
                told = in_python(approval, who, approves=approves)
                assert in_database(approval, who, approves=approves, edits=False) == told, (name, approval.policy)
                seen.add((name, told))
    assert {rule for _, rule in seen} == {"", "group", "key", "creator", "editor", "lent"}
    # Of delegations only those that hold let somebody decide.
    rules = {"name": "p", "approvers": ["finance"], "escalate_to": [], "four_eyes": False, "quorum": 1}
    Approval.objects.filter(pk=approval.pk).update(policy=rules, escalated_at=None)
    allowed = {name for name, who in deciding.items() if not in_database(approval, who, approves=True, edits=False)}
    assert allowed == {"finance", "editor", "viewer", "gone", "both", "for finance", "for editor"}
