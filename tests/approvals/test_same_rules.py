"""Who may decide: what `moves.may_not_decide` says behind the lock, and what Python tells people before they try."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import connection
from django.db.models import prefetch_related_objects

from agentapp import clock
from agentapp.lifecycle import function_set
from agentapp.models import Approval, ApprovalVote, Delegation, Membership, Tenant
from agentapp.policies import approving
from agentapp.services import deciders, principals
from agentapp.services.deciders import Groups
from agentapp.services.principals import Principal
from tests.approvals.asking import again, ask, person

pytestmark = pytest.mark.django_db
# Of all who may come, in one statement: there are 1,600 questions.
RULE = """
  SELECT moves.may_not_decide(t, a, d.state, false, d.user_id, d.api_key_id)
    FROM agentapp_approval a, moves.lock_task(a.workflow_id, 'user:x', NULL) t,
         unnest(%s::text[], %s::int[], %s::bigint[]) WITH ORDINALITY AS d (state, user_id, api_key_id, number)
   WHERE a.id = %s ORDER BY d.number
"""
RULES = product(([], ["finance"], ["agent"]), ([], ["board"]), (False, True), (False, True), (1, 2))


# A name, who that is, and whether they approve.
Question = tuple[str, Principal, bool]


def in_database(approval: Approval, questions: list[Question]) -> list[str]:
    states = ["approved" if approves else "rejected" for _, _, approves in questions]
    names = [principals.owner(who) for _, who, _ in questions]
    users, keys = ([each[column] for each in names] for column in ("user_id", "api_key_id"))
    with connection.cursor() as cursor:
        cursor.execute(function_set.in_schema(RULE), [states, users, keys, approval.pk])
        return [rule for (rule,) in cursor.fetchall()]


def in_python(approval: Approval, questions: list[Question], groups: dict[str, Groups]) -> list[str]:
    """As pages do for many approvals: what does not depend on the person, or not on the rules, is read once."""
    creators = deciders.creators_of([approval])[approval.workflow_id]
    rules, is_escalated = deciders.rules(approval), approval.escalated_at is not None
    return [
        approving.rule_against(
            rules, deciders.decider_of(who, approval, groups[name], creators),
            is_escalated=is_escalated, approves=approves,
        ) for name, who, approves in questions
    ]  # fmt: skip


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
    prefetch_related_objects([approval], "votes")
    groups = {name: deciders.groups_of(who, approval.tenant_id) for name, who in deciding.items()}
    questions = [(name, who, approves) for name, who in deciding.items() for approves in (True, False)]
    seen = set()
    for approvers, escalate_to, is_escalated, four_eyes, quorum in RULES:
        approval.policy = {
            "name": "p", "approvers": approvers, "escalate_to": escalate_to, "four_eyes": four_eyes, "quorum": quorum,
        }  # fmt: skip
        approval.escalated_at = clock.now() if is_escalated else None
        approval.save(update_fields=["policy", "escalated_at"])
        told = in_python(approval, questions, groups)
        asked = [(name, approves) for name, _, approves in questions]
        in_both = zip(asked, in_database(approval, questions), told, strict=True)
        assert [each for each in in_both if each[1] != each[2]] == [], approval.policy
        seen |= {(name, rule) for (name, _), rule in zip(asked, told, strict=True)}
    assert {rule for _, rule in seen} == {"", "group", "key", "creator", "editor", "lent"}
    # Of delegations only those that hold let somebody decide.
    rules = {"name": "p", "approvers": ["finance"], "escalate_to": [], "four_eyes": False, "quorum": 1}
    Approval.objects.filter(pk=approval.pk).update(policy=rules, escalated_at=None)
    approve = [question for question in questions if question[2]]
    answers = zip(approve, in_database(approval, approve), strict=True)
    allowed = {name for (name, _, _), rule in answers if not rule}
    assert allowed == {"finance", "editor", "viewer", "gone", "both", "for finance", "for editor"}
