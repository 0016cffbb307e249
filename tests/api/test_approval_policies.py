"""/approval-policies: for operators; and what approvals say of the policy that asked. [G2]"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import RequestFactory

from agentapp.api import approval_policies as approval_policies_api
from agentapp.api import conditional
from agentapp.api.problems import Problem
from agentapp.errors import IllegalMove
from agentapp.models import Approval, ApprovalPolicy, GateChange, Tenant
from agentapp.services import approval_policies, principals
from agentapp.services.principals import Principal
from tests import harness
from tests.api.conftest import Api, problem_of
from tests.approvals.asking import KIND, PASSES, ask, decide, edit, person, policy

pytestmark = pytest.mark.django_db

POLICY = {"name": "two people", "kind": KIND}


def made(platform: Api, **values: Any) -> dict[str, Any]:
    answer = platform.post("/approval-policies", POLICY | values)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    assert platform.get(answer.headers["Location"]).json() == found
    return found


def test_a_policy_is_made_changed_and_deleted_and_each_change_says_who(platform: Api, tenant: Tenant) -> None:
    Group.objects.create(name="finance")
    row = made(platform, tenant=tenant.slug, approvers=["finance", "agent"], quorum=2, reason="an audit")
    path = f"/approval-policies/{row['id']}"

    changed = platform.patch(path, {"four_eyes": True}).json()
    same = platform.patch(path, {"four_eyes": True}).json()
    replaced = platform.put(path, {"name": "one", "sample_percent": 50}).json()
    assert platform.delete(path).status_code == 204

    assert (row["tenant"], row["approvers"], row["four_eyes"]) == (tenant.slug, ["finance", "agent"], False)
    assert (changed["four_eyes"], changed["quorum"], same["updated_at"]) == (True, 2, changed["updated_at"])
    assert (replaced["tenant"], replaced["kind"], replaced["quorum"], replaced["approvers"]) == (None, "", 1, [])
    problem_of(platform.get(path), 404)
    rows = GateChange.objects.filter(target=f"approval policy {row['id']}").order_by("id")
    assert [(each.action, each.reason) for each in rows] == [
        ("created", "an audit"), ("changed", ""), ("changed", ""), ("deleted", ""),
    ]  # fmt: skip
    assert {each.target for each in rows} == {f"approval policy {row['id']}"}


def test_a_policy_is_changed_only_as_it_was_read_where_a_client_says_so(platform: Api, tenant: Tenant) -> None:
    path = f"/approval-policies/{made(platform)['id']}"
    first = platform.get(path).headers["ETag"]

    def having(name: str, tag: str) -> Api:
        return Api(**platform.headers, **{name: tag})

    assert having("If-None-Match", first).get(path).status_code == 304
    changed = having("If-Match", first).patch(path, {"quorum": 2})
    assert (changed.status_code, changed.headers["ETag"]) == (200, platform.get(path).headers["ETag"])
    for stale in (first, f"W/{changed.headers['ETag']}", '"a", "b"'):
        late = having("If-Match", stale)
        for answer in (late.patch(path, {"quorum": 3}), late.put(path, POLICY), late.delete(path)):
            assert problem_of(answer, 412)["type"] == "/problems/precondition-failed"
    problem_of(having("If-Match", first).patch(path, {"quorum": "many"}), 422)
    assert platform.get(path).json()["quorum"] == 2
    assert having("If-Match", "*").put(path, POLICY).json()["quorum"] == 1
    last = platform.get(path).headers["ETag"]
    assert having("If-Match", f'"a", {last}').delete(path).status_code == 204


def test_who_comes_second_behind_the_same_lock_changes_nothing(platform: Api, admin_user: User) -> None:
    row, operator = ApprovalPolicy.objects.get(pk=made(platform)["id"]), principals.of_user(admin_user)
    shown = approval_policies_api.shape(row)
    request: Any = RequestFactory().get("/", headers={"If-Match": conditional.tag(shown)})
    approval_policies.save(operator, ApprovalPolicy.objects.get(pk=row.pk), {"quorum": 2})

    with pytest.raises(Problem) as refused, conditional.as_read(request, shown, row.updated_at) as as_read:
        approval_policies.save(operator, row, {"quorum": 3}, as_read=as_read)
    assert (refused.value.kind.status, as_read) == (412, row.updated_at)
    with pytest.raises(IllegalMove, match="Read it again"):
        approval_policies.delete(operator, row, as_read=row.updated_at)


def test_a_policy_that_nobody_can_meet_says_so(platform: Api, tenant: Tenant) -> None:
    Group.objects.create(name="finance")
    row = made(platform, tenant=tenant.slug, approvers=["finance"], quorum=2)
    assert row["warning"].startswith(f"Nobody can decide in {tenant.slug}: 2 of the groups finance must approve")
    person("kim", tenant, "finance"), person("lee", tenant, "finance")
    assert [each["warning"] for each in platform.get("/approval-policies").json()["results"]] == [None]


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"name": " "}, "name", "needs a value"),
        ({"name": "n" * 101}, "name", "at most 100"),
        ({"tenant": "nobody"}, "tenant", "no tenant"),
        ({"kind": "support_rply"}, "kind", "No workflow kind"),
        ({"kind": "nothing_*"}, "kind", "No workflow kind"),
        ({"kind": "%"}, "kind", "No workflow kind"),
        ({"content_kind": "letter"}, "content_kind", "Choose one of mail"),
        ({"on_expiry": "approve"}, "on_expiry", "Choose one of expire, reject"),
        ({"on_expiry": ""}, "on_expiry", "Choose one of expire, reject"),
        ({"quorum": 0}, "quorum", "between 1 and 20"),
        ({"sample_percent": 101}, "sample_percent", "between 0 and 100"),
        ({"sample_percent": 10, "content_kind": "budget"}, "sample_percent", "Only mails"),
        ({"deadline_s": 0}, "deadline_s", "between 1"),
        ({"deadline_s": 60, "remind_after_s": 60}, "remind_after_s", "before the deadline"),
        ({"escalate_after_s": 60}, "escalate_to", "Say both"),
        ({"escalate_to": ["operator"]}, "escalate_after_s", "Say both"),
        ({"approvers": ["nobody"]}, "approvers", "no group 'nobody'"),
    ],
)
def test_what_does_not_fit_is_refused(platform: Api, values: dict[str, Any], field: str, said: str) -> None:
    problem = problem_of(platform.post("/approval-policies", POLICY | values), 422)

    assert said in {error["field"]: error["message"] for error in problem["errors"]}[field]
    assert not ApprovalPolicy.objects.exists()


def test_there_is_one_policy_for_the_same(platform: Api) -> None:
    made(platform)

    problem = problem_of(platform.post("/approval-policies", POLICY | {"name": "another"}), 422)
    assert problem["errors"][0]["field"] == "kind" and ApprovalPolicy.objects.count() == 1


def test_a_key_of_a_tenant_sees_no_policies(api: Api, tenant: Tenant) -> None:
    row = policy(tenant=tenant)

    for path in ("/approval-policies", f"/approval-policies/{row.pk}"):
        problem_of(api.get(path), 403)
    problem_of(api.delete(f"/approval-policies/{row.pk}"), 403)


def test_an_approval_says_which_policy_asked_who_voted_and_whether_one_may_decide(api: Api, tenant: Tenant) -> None:
    policy(name="careful", quorum=2, four_eyes=True)
    assert api.post("/tasks", {"kind": KIND, "input": {"text": "hello"}}).status_code == 202
    harness.drain()
    approval, kim, lee = Approval.objects.get(), person("kim", tenant), person("lee", tenant)
    decide(kim, approval, reason="fine")
    edit(lee, approval, "other words")

    shown = api.get(f"/approvals/{approval.pk}").json()
    assert (shown["policy"], shown["quorum"], shown["votes_missing"], shown["state"]) == ("careful", 2, 2, "pending")
    assert [(vote["by"], vote["decision"], vote["counts"], vote["reason"]) for vote in shown["votes"]] == [
        ("user:kim", "approved", False, "fine"), ("user:lee", "edited", True, None),
    ]  # fmt: skip
    assert shown["may_decide"] is False and "an API key is no person" in shown["refusal"]
    body = {"decision": "approve", "content_sha256": shown["content_sha256"]}
    problem = problem_of(api.post(f"/approvals/{approval.pk}/decision", body), 403)
    assert problem["detail"] == shown["refusal"]
    assert api.get("/approvals").json()["results"] == [shown]


def test_what_a_policy_let_pass_says_so(api: Api, principal: Principal, tenant: Tenant) -> None:
    policy(name="some", sample_percent=0)
    approval = ask(principal, **PASSES)

    shown = api.get(f"/approvals/{approval.pk}").json()
    assert (shown["state"], shown["decided_by"], shown["votes"]) == ("approved", "policy:some", [])
    assert (shown["may_decide"], shown["votes_missing"]) == (False, 0)
