"""Votes: as many people as a policy asks for approve the same bytes. [G2] [G3]"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from agentapp.clock import Clock
from agentapp.errors import AgentappError, IllegalMove, PermissionDenied
from agentapp.lifecycle.prune import STEPS
from agentapp.models import Approval, ApprovalVote, History, Tenant
from agentapp.services import withdrawals
from agentapp.services.principals import Principal
from tests.approvals.asking import ask, decide, edit, person, policy, task_of
from tests.harness import histories_are_legal

pytestmark = pytest.mark.django_db


def test_two_people_approve_the_same_bytes(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2)
    approval, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)

    first = decide(kim, approval)
    assert (first.state, first.votes_missing, task_of(approval).state) == ("pending", 1, "awaiting_approval")
    second = decide(lee, approval, reason="fine")

    assert (second.state, second.decided_by_user) == ("approved", lee.user)
    votes = ApprovalVote.objects.order_by("id").values_list("user__username", "decision", "content_sha256", "reason")
    assert list(votes) == [
        ("kim", "approved", approval.content_sha256, ""), ("lee", "approved", approval.content_sha256, "fine"),
    ]  # fmt: skip
    assert task_of(approval).result == {"outcome": "sent"}
    reasons = History.objects.filter(approval_id=approval.pk).order_by("seq").values_list("reason", flat=True)
    assert list(reasons) == ["", "approved by one person; still missing: 1", "fine"]
    assert histories_are_legal()


def test_a_double_click_is_one_vote_and_no_error(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2)
    approval, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)

    for _ in range(2):
        assert decide(kim, approval).state == "pending"
    for _ in range(2):
        assert decide(lee, approval).state == "approved"
    assert ApprovalVote.objects.count() == 2
    # A vote that would be another one is too late.
    with pytest.raises(IllegalMove, match="already approved"):
        decide(kim, approval, "reject", reason="no")
    with pytest.raises(IllegalMove, match="already approved"):
        decide(person("max", tenant), approval)


@pytest.mark.parametrize(("decision", "state"), [("reject", "rejected"), ("request_changes", "changes_requested")])
def test_one_no_decides(principal: Principal, tenant: Tenant, decision: str, state: str) -> None:
    policy(quorum=3)
    approval, kim = ask(principal), person("kim", tenant)
    decide(kim, approval)

    # Also of who has approved before.
    assert decide(kim, approval, decision, reason="no").state == state
    assert [vote.decision for vote in ApprovalVote.objects.all()] == [state]


def test_an_edit_makes_new_bytes_of_which_nobody_has_said_anything(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2)
    approval, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)
    shown, first = approval.content_sha256, approval.content["body"]
    decide(kim, approval)

    edited = edit(lee, approval, "other words")
    # Without four eyes an edit approves what it has made.
    assert (edited.state, edited.revision, edited.votes_missing) == ("pending", 1, 1)
    with pytest.raises(IllegalMove, match="content has changed since you saw it"):
        decide(kim, approval, content_sha256=shown)
    # Back to the first words: these are another revision, and the first vote does not come back.
    assert edit(lee, approval, first).content_sha256 == shown
    assert Approval.objects.get().votes_missing == 1
    assert decide(kim, approval).state == "approved"
    assert list(ApprovalVote.objects.order_by("id").values_list("user__username", "revision", "has_edited")) == [
        ("kim", 0, False), ("lee", 1, True), ("lee", 2, True), ("kim", 2, False),
    ]  # fmt: skip


def test_a_vote_after_the_expiry_or_the_end_counts_no_more(principal: Principal, tenant: Tenant, clock: Clock) -> None:
    policy(quorum=2, deadline_s=60)
    approval, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)
    decide(kim, approval)
    clock.advance(61)

    with pytest.raises(IllegalMove, match="expired"):
        decide(lee, approval)
    assert ApprovalVote.objects.count() == 1 and Approval.objects.get().votes_missing == 1


def test_what_is_asked_again_wants_all_votes_again(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2, four_eyes=True)
    approval, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)
    decide(kim, approval)
    decide(lee, approval)
    content = approval.content | {"to": "thief@sample.test"}
    Approval.objects.filter(pk=approval.pk).update(content=content)

    assert task_of(approval).state == "awaiting_approval"
    fresh = Approval.objects.exclude(pk=approval.pk).get()
    assert (fresh.policy, fresh.votes_missing, fresh.votes.count()) == (approval.policy, 2, 0)
    assert fresh.content == content and histories_are_legal()


def test_what_is_withdrawn_still_has_its_authors(principal: Principal, tenant: Tenant) -> None:
    policy(four_eyes=True)
    approval, kim, lee = ask(principal), person("kim", tenant), person("lee", tenant)
    edit(kim, approval, "other words")
    decide(lee, approval)
    withdrawn = withdrawals.withdraw(lee, approval.pk)

    assert (withdrawn.state, withdrawn.content["body"], withdrawn.revision) == ("pending", "other words", 0)
    with pytest.raises(PermissionDenied, match="edited"):
        decide(kim, withdrawn)
    assert decide(lee, withdrawn).state == "approved"


def test_votes_go_with_their_task_also_where_a_release_knows_of_none(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2)
    approval = ask(principal)
    decide(person("kim", tenant), approval)
    assert ApprovalVote.objects.exists() and not any("vote" in step for step in STEPS)

    with connection.cursor() as cursor:
        for step in STEPS:
            cursor.execute(step, [[approval.workflow_id]])
    assert not ApprovalVote.objects.exists()


def test_an_approval_is_edited_as_often_as_people_like(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2)
    approval = ask(principal)
    Approval.objects.filter(pk=approval.pk).update(revision=32_767)

    assert edit(person("kim", tenant), approval, "once more").revision == 32_768


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_are_two_votes_and_four_of_one_are_one(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=3)
    approval = ask(principal)
    people = [person(name, tenant) for name in ("kim", "lee", "max")]

    def click(who: Principal) -> Any:
        try:
            return decide(who, approval).state
        except AgentappError as error:
            return type(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(click, [people[0]] * 4 + [people[1]] * 4))
    assert set(said) == {"pending"}
    approval.refresh_from_db()
    assert (approval.votes_missing, ApprovalVote.objects.count()) == (1, 2)
    assert decide(people[2], approval).state == "approved"
    assert histories_are_legal()
