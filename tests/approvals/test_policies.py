"""Policies of approvals: which one asks, who may decide, what becomes of what nobody decides. [G2]"""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from agentapp.clock import Clock
from agentapp.dispatch import timekeeper
from agentapp.errors import IllegalMove, InvalidInput, PermissionDenied
from agentapp.lifecycle.function_set import in_schema
from agentapp.models import Approval, ApprovalPolicy, History, Tenant
from agentapp.services import deciders, forks, people
from agentapp.services.principals import Principal
from tests.approvals.asking import KIND, PASSES, again, ask, decide, edit, person, policy, task_of
from tests.harness import histories_are_legal

pytestmark = pytest.mark.django_db


def test_without_a_policy_an_approval_is_decided_as_ever(principal: Principal, tenant: Tenant) -> None:
    approval = ask(principal)

    assert decide(principal, approval).state == "approved"
    assert approval.policy is None and task_of(approval).result == {"outcome": "sent"}


def test_the_most_specific_policy_asks(principal: Principal, tenant: Tenant, other_tenant: Tenant) -> None:
    rows: list[dict[str, Any]] = [
        {"tenant": tenant, "kind": KIND, "content_kind": "mail"},
        {"tenant": tenant, "kind": KIND},
        {"tenant": tenant, "kind": "probe_approval_*", "content_kind": "mail"},
        {"tenant": tenant, "kind": "probe_approval_*"},
        {"tenant": tenant, "kind": "probe_*", "content_kind": "mail"},
        {"tenant": tenant, "content_kind": "mail"},
        {"tenant": tenant},
        {"kind": KIND},
        {"kind": "*"},
        {"content_kind": "mail"},
        {},
    ]
    # The less specific ones are older, and others fit not at all.
    for n, row in reversed(list(enumerate(rows))):
        policy(name=f"number {n}", **row)
    policy(name="another tenant's", tenant=other_tenant, kind=KIND, content_kind="mail")
    policy(name="of budgets", tenant=tenant, kind=KIND, content_kind="budget")
    policy(name="an underscore is no wildcard", tenant=tenant, kind="probe_approvalXpolicy")

    for n in range(len(rows)):
        assert (ask(principal).policy or {}).get("name") == f"number {n}"
        ApprovalPolicy.objects.filter(name=f"number {n}").delete()
    assert ask(principal).policy is None


def test_of_two_patterns_that_say_as_much_the_older_one_asks(principal: Principal, tenant: Tenant) -> None:
    policy(name="older", kind="*approval_policy")
    policy(name="newer", kind="probe_approval*")
    assert len("*approval_policy") == len("probe_approval*") + 1

    # Fifteen letters say more than fourteen.
    assert (ask(principal).policy or {})["name"] == "older"
    ApprovalPolicy.objects.filter(name="older").update(kind="*pproval_policy")
    assert (ask(principal).policy or {})["name"] == "older"


def test_a_policy_that_is_changed_later_changes_no_question_that_waits(principal: Principal, tenant: Tenant) -> None:
    row = policy(approvers=["finance"])
    approval = ask(principal)
    ApprovalPolicy.objects.filter(pk=row.pk).update(approvers=[])

    with pytest.raises(PermissionDenied, match="only people of these groups decide here: finance"):
        decide(person("kim", tenant), approval)
    row.delete()
    assert decide(person("lee", tenant, "finance"), approval).state == "approved"


def test_who_lost_the_role_between_page_and_click_does_not_decide(principal: Principal, tenant: Tenant) -> None:
    policy(approvers=["finance"])
    approval, kim = ask(principal), person("kim", tenant, "finance")
    assert kim.user and deciders.refusal(kim, approval) == ""
    kim.user.groups.clear()

    for decision in ("approve", "reject", "request_changes"):
        with pytest.raises(PermissionDenied, match="finance"):
            decide(kim, approval, decision, reason="no")
    with pytest.raises(PermissionDenied, match="finance"):
        edit(kim, approval, "other words")
    kim.user.user_permissions.clear()
    with pytest.raises(PermissionDenied, match="approvals:decide"):
        decide(again(kim.user), approval)
    assert Approval.objects.get().state == "pending"


def test_a_key_is_in_no_group(principal: Principal) -> None:
    policy(approvers=["finance"])

    with pytest.raises(PermissionDenied, match="finance"):
        decide(principal, ask(principal))


def test_what_the_page_says_is_what_the_move_decides(principal: Principal, tenant: Tenant) -> None:
    lee, kim, max_ = person("lee", tenant, "finance"), person("kim", tenant, "managers"), person("max", tenant)
    people = {"lee": lee, "kim": kim, "max": max_, "the key": principal}
    assert lee.user
    for approvers, four_eyes, is_escalated in product([[], ["finance"]], [False, True], [False, True]):
        ApprovalPolicy.objects.all().delete()
        policy(approvers=approvers, four_eyes=four_eyes, escalate_to=["managers"], quorum=9)
        approval = ask(principal)
        edit(lee, approval, "an edit")
        Approval.objects.filter(pk=approval.pk).update(escalated_at=approval.created_at if is_escalated else None)
        approval = Approval.objects.get(pk=approval.pk)
        for name, who in people.items():
            said = deciders.refusal(who, approval)
            try:
                decide(who, approval)
                answered = ""
            except PermissionDenied as error:
                answered = str(error)
            assert said == answered, (approvers, four_eyes, is_escalated, name)


def test_a_policy_names_roles_which_count_in_the_tenant_of_the_approval(
    principal: Principal, tenant: Tenant, other_tenant: Tenant
) -> None:
    here, elsewhere = (people.add(name=name, tenant=tenant, role="operator")[0].user for name in ("here", "elsewhere"))
    people.add(name="here", tenant=tenant, role="agent")
    people.add(name="elsewhere", tenant=other_tenant, role="agent")
    policy(approvers=["agent"])
    approval = ask(principal)

    assert "only people of these groups" in deciders.refusal(again(elsewhere), approval)
    with pytest.raises(PermissionDenied, match="only people of these groups"):
        decide(again(elsewhere), approval)
    assert not deciders.refusal(again(here), approval)
    assert decide(again(here), approval).state == "approved"


def test_the_recipient_is_changed_only_where_the_policy_allows_it(principal: Principal, tenant: Tenant) -> None:
    refused = ask(principal)
    policy(name="none", tenant=tenant)
    also_refused = ask(principal)
    policy(name="allows it", tenant=tenant, kind=KIND, may_change_recipient=True)
    allowed = ask(principal)

    for approval in (refused, also_refused):
        with pytest.raises(InvalidInput, match="recipient cannot be changed"):
            edit(principal, approval, "hello", to="thief@sample.test")
    assert edit(principal, allowed, "hello", to="reader@other.test").content["to"] == "reader@other.test"


@pytest.mark.parametrize("action", ["expire", "reject"])
def test_what_nobody_decides_in_time_expires_or_is_rejected(
    principal: Principal, tenant: Tenant, clock: Clock, action: str
) -> None:
    policy(deadline_s=3600, on_expiry=action)
    approval = ask(principal)
    assert approval.expires_at == approval.created_at + timedelta(hours=1)

    clock.advance(3601)
    with pytest.raises(IllegalMove, match="expired"):
        decide(principal, approval)
    assert timekeeper.expire_overdue() == 1 and timekeeper.expire_overdue() == 0

    approval.refresh_from_db()
    task = task_of(approval)
    if action == "expire":
        assert (approval.state, task.state) == ("expired", "failed")
    else:
        assert (approval.state, task.state, (task.result or {})["outcome"]) == ("rejected", "completed", "rejected")
        assert approval.reason == "nobody decided in time" and approval.decided_by_user is None
    with pytest.raises(IllegalMove, match="already"):
        decide(principal, approval)
    assert histories_are_legal()


def test_what_is_not_in_the_sample_passes_and_the_record_says_so(principal: Principal, tenant: Tenant) -> None:
    policy(name="some", sample_percent=0, quorum=2, four_eyes=True)
    approval = ask(principal, **PASSES)

    assert (approval.state, approval.votes_missing, approval.votes.count()) == ("approved", 0, 0)
    assert approval.approved_sha256 == approval.content_sha256 and approval.decided_by_user is None
    assert task_of(approval).result == {"outcome": "sent"}
    said = History.objects.filter(approval_id=approval.pk).order_by("seq").values_list("to_state", "reason")
    assert list(said) == [("pending", ""), ("approved", "not in the sample of the policy some")]
    assert histories_are_legal()


def test_a_sample_is_of_that_size_and_decides_a_task_equally_each_time(principal: Principal, tenant: Tenant) -> None:
    policy(sample_percent=40)
    approval = ask(principal, **PASSES)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE ('x' || left(md5(id::text), 8))::bit(32)::bigint %% 100 < 40)"
            "  FROM (SELECT md5(n::text)::uuid AS id FROM generate_series(1, 10000) n) ids",
            [],
        )
        assert abs(cursor.fetchone()[0] - 4_000) < 200
        cursor.execute(
            "SELECT ('x' || left(md5(%s), 8))::bit(32)::bigint %% 100 < 40", [str(approval.workflow_id)]
        )  # fmt: skip
        assert cursor.fetchone()[0] == (approval.state == "pending")


@pytest.mark.parametrize(
    "fields",
    [
        {"risk": "medium"}, {"risk": "high"}, {"risk": None}, {"evaluation": {"verdict": "revise"}},
        {"evaluation": None}, {"evaluation": {"verdict": None}}, {"evaluation": {"score": 1}},
        {"evaluation": {"verdict": ["pass"]}},
    ],
    ids=["medium", "high", "unknown", "revise", "nobody rated it", "no verdict", "a score alone", "another form"],
)  # fmt: skip
def test_a_person_is_always_asked_about_risk(principal: Principal, tenant: Tenant, fields: dict[str, Any]) -> None:
    policy(sample_percent=0)

    assert ask(principal, **PASSES | fields).state == "pending"


def test_a_task_about_which_somebody_was_asked_is_never_passed_later(principal: Principal, tenant: Tenant) -> None:
    approval = ask(principal, **PASSES)
    policy(sample_percent=0)
    decide(principal, approval, "request_changes", reason="shorter")

    assert task_of(approval).state == "awaiting_approval"


def test_a_fork_of_a_task_is_never_passed(principal: Principal, tenant: Tenant) -> None:
    """However often somebody forks what was rejected."""
    approval = ask(principal, **PASSES)
    decide(principal, approval, "reject", reason="never")
    policy(sample_percent=0)

    fork = forks.fork(principal, approval.workflow_id, from_stage="probe_ask")

    assert task_of(Approval(workflow=fork)).state == "awaiting_approval"


@pytest.mark.parametrize("content", [{"calls": []}, {"budget": "turns", "to": "a@b.test"}, {"text": "x"}])
def test_tool_calls_and_budgets_are_never_passed(principal: Principal, tenant: Tenant, content: dict[str, Any]) -> None:
    policy(sample_percent=0)
    task = ask(principal).workflow
    with connection.cursor() as cursor:
        cursor.execute(
            in_schema(
                "SELECT moves.passes_unasked(t, p, jsonb_build_object('risk', 'low', 'content', %s::jsonb))"
                "  FROM moves.task t, agentapp_approvalpolicy p WHERE t.id = %s"
            ),
            [json.dumps(content), task.pk],
        )
        assert cursor.fetchone()[0] is False


def test_the_release_before_cannot_approve_what_a_policy_asks(principal: Principal, tenant: Tenant) -> None:
    """Its move writes the state alone."""
    policy(quorum=2)
    approval = ask(principal)

    with pytest.raises(IntegrityError, match="approval_has_its_votes"), transaction.atomic():
        Approval.objects.filter(pk=approval.pk).update(state="approved", approved_sha256=approval.content_sha256)
    assert Approval.objects.filter(pk=approval.pk).update(state="rejected") == 1
