"""Four eyes: who approves something is a person, and another one than who asked for it or wrote it. [G2]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.errors import PermissionDenied
from agentapp.models import Approval, Tenant, Workflow
from agentapp.services import api_keys, approvals, deciders, forks, principals
from agentapp.services.principals import Principal
from tests import harness
from tests.approvals.asking import ask, decide, edit, person, policy, task_of
from tests.harness import histories_are_legal

pytestmark = pytest.mark.django_db


def test_under_four_eyes_who_submitted_it_does_not_approve_it(principal: Principal, tenant: Tenant) -> None:
    policy(four_eyes=True)
    of_kim, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)
    assert kim.user
    Workflow.objects.filter(pk=of_kim.workflow_id).update(api_key=None, user=kim.user.pk)

    with pytest.raises(PermissionDenied, match="who submitted the task, or one that it is a fork"):
        decide(kim, of_kim)
    assert decide(lee, of_kim).state == "approved" and task_of(of_kim).state == "completed"
    # Saying no to one's own is allowed.
    again_of_kim = ask(principal)
    Workflow.objects.filter(pk=again_of_kim.workflow_id).update(api_key=None, user=kim.user.pk)
    assert decide(kim, again_of_kim, "reject", reason="a mistake").state == "rejected"


def test_who_submitted_the_origin_does_not_approve_its_fork(principal: Principal, tenant: Tenant) -> None:
    policy(four_eyes=True)
    origin, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)
    assert kim.user and lee.user
    fork = forks.fork(principal, origin.workflow_id, from_stage="probe_ask")
    grandchild = forks.fork(principal, fork.pk, from_stage="probe_ask")
    harness.drain(grandchild)
    Workflow.objects.filter(pk=origin.workflow_id).update(api_key=None, user=kim.user.pk)
    approval = approvals.get(principal, Approval.objects.get(workflow=grandchild).pk)

    assert "one that it is a fork" in deciders.refusal(kim, approval) and not deciders.refusal(lee, approval)
    with pytest.raises(PermissionDenied, match="one that it is a fork"):
        decide(kim, approval)
    assert decide(lee, approval).state == "approved"


@pytest.mark.parametrize("rules", [{"four_eyes": True}, {"quorum": 2}])
def test_a_key_is_no_person(principal: Principal, tenant: Tenant, rules: dict[str, Any]) -> None:
    """One person may hold several keys."""
    policy(**rules)
    first, second = ask(principal), ask(principal)
    key, _ = api_keys.create(tenant=tenant, name="another", scopes=["approvals:read", "approvals:decide"])

    for who in (principal, principals.of_key(key)):
        for decides in (decide, lambda who, approval: edit(who, approval, "other words")):
            with pytest.raises(PermissionDenied, match="an API key is no person"):
                decides(who, first)
    assert (Approval.objects.get(pk=first.pk).revision, first.votes.count()) == (0, 0)
    assert decide(principal, first, "reject", reason="no").state == "rejected"
    assert decide(principal, second, "request_changes", reason="shorter").state == "changes_requested"


def test_under_four_eyes_who_edited_it_does_not_approve_it(principal: Principal, tenant: Tenant) -> None:
    policy(four_eyes=True)
    approval, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)

    edited = edit(kim, approval, "better words")
    assert (edited.state, edited.content["body"], edited.revision) == ("pending", "better words", 1)
    with pytest.raises(PermissionDenied, match="who edited the text does not approve it"):
        decide(kim, approval)
    with pytest.raises(PermissionDenied, match="who edited"):
        # An edit that changes nothing is none.
        edit(kim, approval, "better words")
    edit(lee, approval, "the best words")
    for who in (kim, lee):
        with pytest.raises(PermissionDenied, match="who edited"):
            decide(who, approval)
    assert decide(person("max", tenant), approval).state == "approved"
    assert task_of(approval).result == {"outcome": "sent"} and histories_are_legal()
