"""Somebody who is away lets a colleague decide in their place, until a moment. [G2]"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from agentapp import clock
from agentapp.api import approval_shapes
from agentapp.clock import Clock
from agentapp.errors import InvalidInput, NotFound, PermissionDenied
from agentapp.models import Approval, ApprovalVote, Delegation, GateChange, Tenant
from agentapp.services import assignments, deciders, delegations, electorates, people
from agentapp.services.principals import Principal
from tests.approvals.asking import again, ask, decide, edit, person, policy

pytestmark = pytest.mark.django_db
NAME = "decide here: finance"


def lend(giver: Principal, to: Principal, tenant: Tenant, *, hours: float = 1) -> Delegation:
    assert to.user is not None
    return delegations.give(
        giver, tenant=tenant, delegate=to.user.get_username(), until=clock.now() + timedelta(hours=hours)
    )  # fmt: skip


def shown(approval: Approval, who: Principal) -> Approval:
    return Approval.objects.get(pk=approval.pk)


def test_a_delegate_decides_as_themselves_in_the_place_of_another(principal: Principal, tenant: Tenant) -> None:
    policy(approvers=["finance"])
    approval, kim, lee = ask(principal), person("kim", tenant, "finance"), person("lee", tenant)
    with pytest.raises(PermissionDenied, match=NAME):
        decide(lee, approval)

    lend(kim, lee, tenant)
    assert deciders.refusal(lee, shown(approval, lee)) == ""
    decided = decide(lee, approval)

    assert (decided.state, decided.decided_by_user) == ("approved", lee.user)
    (vote,) = approval_shapes.one(lee, decided)["votes"]
    assert (vote["by"], vote["instead_of"], vote["counts"]) == ("user:lee", "user:kim", True)


def test_it_ends_by_itself_and_with_the_account_the_membership_or_a_word(
    principal: Principal, tenant: Tenant, clock: Clock
) -> None:
    policy(approvers=["finance"])
    approval, kim, lee = ask(principal), person("kim", tenant, "finance"), person("lee", tenant)
    assert kim.user is not None

    def is_refused() -> bool:
        assert bool(deciders.refusal(again(lee.user), shown(approval, lee))) == _cannot(lee, approval)  # type: ignore[arg-type]
        return _cannot(lee, approval)

    lend(kim, lee, tenant)
    assert not is_refused()
    User.objects.filter(pk=kim.user.pk).update(is_active=False)
    assert is_refused()
    User.objects.filter(pk=kim.user.pk).update(is_active=True)
    kim.user.groups.clear()
    assert is_refused()
    kim.user.groups.add(Group.objects.get(name="finance"))
    assert not is_refused()
    kim.user.memberships.update(role="viewer")
    assert is_refused()
    kim.user.memberships.update(role="")
    delegations.end(again(kim.user), Delegation.objects.get().pk)
    assert is_refused() and not Delegation.objects.exists()
    lend(kim, lee, tenant, hours=1)
    assert not is_refused()
    clock.set(clock.now() + timedelta(hours=1, seconds=1))
    assert is_refused() and not delegations.listing(kim).exists()
    assert GateChange.objects.filter(action="delegated").count() == 2


def _cannot(who: Principal, approval: Approval) -> bool:
    """Whether the move refuses; asked by a claim, which changes nothing that matters here."""
    try:
        assignments.claim(who, approval.pk)
    except PermissionDenied:
        return True
    assignments.release(who, approval.pk)
    return False


def test_who_delegates_gives_no_second_vote(principal: Principal, tenant: Tenant) -> None:
    policy(approvers=["finance"], quorum=2)
    kim, lee, max_ = person("kim", tenant, "finance"), person("lee", tenant), person("max", tenant, "finance")
    approval = ask(principal)
    lend(kim, lee, tenant)

    assert decide(lee, approval).votes_missing == 1
    assert decide(kim, approval).votes_missing == 1
    assert deciders.votes_missing(shown(approval, kim)) == 1 and electorates.undecidable([shown(approval, kim)])
    lend(max_, lee, tenant)
    assert decide(lee, approval).state == "pending"
    assert decide(max_, approval).state == "approved"


def test_four_eyes_count_the_delegate_as_themselves(principal: Principal, tenant: Tenant) -> None:
    policy(approvers=["finance"], four_eyes=True)
    kim, lee = person("kim", tenant, "finance"), person("lee", tenant)
    approval = ask(principal)
    lend(kim, lee, tenant)
    edit(lee, approval, "the words of lee")

    with pytest.raises(PermissionDenied, match="who edited the text"):
        decide(lee, approval)
    assert decide(kim, approval).state == "approved"


def test_nobody_lets_a_colleague_approve_what_is_their_own(principal: Principal, tenant: Tenant) -> None:
    policy(approvers=["finance"], four_eyes=True)
    kim, lee, max_ = person("kim", tenant, "finance"), person("lee", tenant), person("max", tenant, "finance")
    submitted, edited = ask(principal), ask(principal)
    submitted.workflow.user = kim.user
    submitted.workflow.save(update_fields=["user"])
    lend(kim, lee, tenant)
    edit(kim, edited, "the words of kim")

    for approval in (submitted, edited):
        assert "in whose place you decide" in deciders.refusal(lee, shown(approval, lee))
        with pytest.raises(PermissionDenied, match="in whose place you decide"):
            decide(lee, approval)
    lend(max_, lee, tenant)
    assert [decide(lee, each).state for each in (submitted, edited)] == ["approved"] * 2
    assert [vote.for_user for vote in ApprovalVote.objects.filter(user=lee.user)] == [max_.user] * 2


def test_votes_of_an_account_that_is_not_active_do_not_count(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2)
    kim, lee, max_ = (person(name, tenant) for name in ("kim", "lee", "max"))
    approval = ask(principal)
    assert decide(kim, approval).votes_missing == 1 and kim.user is not None
    kim.user.is_active = False
    kim.user.save()

    assert deciders.votes_missing(shown(approval, lee)) == 2
    assert decide(lee, approval).state == "pending"
    counted = {vote["by"]: vote["counts"] for vote in approval_shapes.one(lee, shown(approval, lee))["votes"]}
    assert counted == {"user:kim": False, "user:lee": True}
    assert decide(max_, approval).state == "approved" and ApprovalVote.objects.count() == 3


def test_who_may_delegate_what_to_whom(principal: Principal, tenant: Tenant, other_tenant: Tenant) -> None:
    kim, lee, far = person("kim", tenant), person("lee", tenant), person("far", other_tenant)
    boss = people.add(name="boss", tenant=tenant, role="administrator")[0].user
    people.add(name="viewer", tenant=tenant, role="viewer")
    hour = clock.now() + timedelta(hours=1)

    for name in ("far", "viewer", "nobody there", "kim"):
        with pytest.raises(InvalidInput):
            delegations.give(kim, tenant=tenant, delegate=name, until=hour)
    for until in (clock.now(), clock.now() + timedelta(days=91)):
        with pytest.raises(InvalidInput, match="90 days"):
            delegations.give(kim, tenant=tenant, delegate="lee", until=until)
    with pytest.raises(PermissionDenied, match="administrator"):
        delegations.give(kim, tenant=tenant, delegate="kim", user="lee", until=hour)
    with pytest.raises(PermissionDenied):
        delegations.give(kim, tenant=other_tenant, delegate="far", until=hour)
    with pytest.raises(PermissionDenied, match="no person"):
        delegations.give(principal, tenant=tenant, delegate="lee", until=hour)
    User.objects.create(username="root", is_staff=True, is_superuser=True)
    for name, delegate in (("kim", "boss"), ("root", "lee")):
        with pytest.raises(PermissionDenied, match=r"by themselves|for themselves"):
            delegations.give(again(boss), tenant=tenant, delegate=delegate, user=name, until=hour)
    given = delegations.give(again(boss), tenant=tenant, delegate="lee", user="kim", until=hour)
    assert delegations.give(kim, tenant=tenant, delegate="lee", until=hour).pk == given.pk
    assert far.user and not delegations.listing(far).exists()
    with pytest.raises(NotFound):
        delegations.end(far, given.pk)
    with pytest.raises(PermissionDenied):
        delegations.end(lee, given.pk)
    delegations.end(again(boss), given.pk)


def test_the_pages(principal: Principal, tenant: Tenant) -> None:
    kim, lee = person("kim", tenant), person("lee", tenant)
    client = Client()
    assert kim.user and lee.user
    client.force_login(kim.user)
    add = reverse("admin:agentapp_delegation_add")
    assert "Who is away" not in client.get(add).content.decode()
    for until in ("", "2000-01-01", "x", "9999-12-31"):
        sent = {"tenant": tenant.slug, "delegate": "lee", "until": until}
        assert client.post(add, sent).status_code == 422, until
    day = f"{clock.now() + timedelta(days=2):%Y-%m-%d}"
    listed = client.post(add, {"tenant": tenant.slug, "delegate": "lee", "until": day}, follow=True).content.decode()
    assert "lee decides in the place of kim" in listed and "lee" in listed
    page = reverse("admin:agentapp_delegation_change", args=(Delegation.objects.get().pk,))
    assert "End it now" in client.get(page).content.decode()
    client.force_login(lee.user)
    assert "End it now" not in client.get(page).content.decode() and client.post(page).status_code == 403
    client.force_login(kim.user)
    assert client.post(page, {"action": "end"}).status_code == 302 and not Delegation.objects.exists()


def test_who_may_be_named_costs_as_many_statements_for_any_number(
    tenant: Tenant, other_tenant: Tenant, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        person(f"kim{number}", tenant, "finance")
    people.add(name="ada", tenant=other_tenant, role="agent")
    people.add(name="leo", tenant=other_tenant, role="viewer")
    User.objects.create(username="gone", is_staff=True, is_active=False, is_superuser=True)

    with django_assert_max_num_queries(4):
        named = delegations.deciding_people([tenant.pk, other_tenant.pk])

    assert named == sorted(["ada", *(f"kim{number}" for number in range(12))])
    assert delegations.deciding_people([other_tenant.pk]) == ["ada"] and delegations.deciding_people([]) == []
