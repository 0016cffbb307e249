"""People who may decide are told by mail of what waits: once, together, and only of what they may read. [G2]"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail as sent
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.delivery import approval_mails as letters
from agentapp.lifecycle import approval_mails as moves
from agentapp.lifecycle import remind
from agentapp.models import Approval, ApprovalPolicy, Membership, Tenant, Workflow
from agentapp.services import approval_mails, delegations, electorates
from agentapp.services.principals import Principal
from tests import harness
from tests.approvals.asking import ask, decide, person, policy

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def outbox(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.AGENTAPP_PUBLIC_URL = "https://agents.sample.test"


def written() -> list[Workflow]:
    return list(Workflow.objects.filter(kind=moves.KIND).order_by("pk"))


def told() -> list[tuple[str, str]]:
    """Run the mails that were written down; return to whom each went and what it is about."""
    for task in written():
        harness.drain(task)
    return sorted((each.to[0], str(each.subject)) for each in sent.outbox)


def test_one_mail_tells_of_all_that_waits_and_the_next_comes_later(
    principal: Principal, tenant: Tenant, other_tenant: Tenant, clock: Clock
) -> None:
    policy(mails_approvers=True, approvers=["finance"])
    person("kim", tenant, "finance"), person("lee", tenant), person("far", other_tenant, "finance")
    first = [ask(principal) for _ in range(3)]

    assert approval_mails.tell() == 3 and approval_mails.tell() == 0
    assert told() == [("kim@sample.test", f"3 approvals wait for you in {tenant.slug}")]
    body = str(sent.outbox[0].body)
    for each in first:
        assert f"https://agents.sample.test/admin/agentapp/approval/{each.pk}/change/" in body
    # To follow the link, as a scanner of mails does, decides nothing.
    browser = Client()
    browser.force_login(User.objects.get(username="kim"))
    assert browser.get(f"/admin/agentapp/approval/{first[0].pk}/change/?decision=approve").status_code == 200
    assert Approval.objects.filter(state="pending").count() == 3

    ask(principal)
    assert approval_mails.tell() == 0
    clock.set(clock.now() + approval_mails.PAUSE + timedelta(seconds=1))
    assert approval_mails.tell() == 1 and len(told()) == 2
    assert {each.origin for each in written()} == {"notice"}


def test_a_dispatcher_that_died_before_it_noted_it_tells_nothing_twice(principal: Principal, tenant: Tenant) -> None:
    policy(mails_approvers=True)
    person("kim", tenant)
    asked = ask(principal)
    moment = asked.mail_at
    approval_mails.tell()
    Approval.objects.filter(pk=asked.pk).update(mail_at=moment)
    Membership.objects.update(mailed_at=None)

    approval_mails.tell()
    assert len(written()) == 1 and len(told()) == 1 and len(told()) == 1


def test_a_round_that_ends_in_the_middle_has_told_nobody(principal: Principal, tenant: Tenant) -> None:
    """Else people who were told before its end would be told again, as soon as more is asked meanwhile."""
    policy(mails_approvers=True)
    person("kim", tenant)
    last = Membership.objects.get(user=person("lee", tenant).user)
    ask(principal)
    change = "SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE agentapp_workflow {}; SET CONSTRAINTS ALL DEFERRED"
    refused = f"CHECK (kind <> '{moves.KIND}' OR input ->> 'user_id' <> '{last.user_id}')"
    with connection.cursor() as cursor:
        cursor.execute(change.format(f"ADD CONSTRAINT breaks {refused}"))
        assert approval_mails.tell() == 0 and not written()
        cursor.execute(change.format("DROP CONSTRAINT breaks"))
    approval_mails.TENANTS.aside.clear()

    ask(principal)
    assert approval_mails.tell() == 2
    about = f"2 approvals wait for you in {tenant.slug}"
    assert told() == [("kim@sample.test", about), ("lee@sample.test", about)]


def test_of_more_people_than_are_told_at_once_those_come_next_who_were_not(
    principal: Principal, tenant: Tenant, clock: Clock, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for module in (approval_mails, electorates):
        monkeypatch.setattr(module, "MOST_MAILED", 2)
    row = policy(tenant=tenant, mails_approvers=True, approvers=["finance"])
    for name in ("kim", "lee", "max"):
        person(name, tenant, "finance")
    ask(principal)
    with caplog.at_level("WARNING", logger="agentapp"):
        assert approval_mails.tell() == 1 and len(told()) == 2
    assert "1" in [vars(each).get("left_out") for each in caplog.records]
    assert electorates.warning(row) == f"More than 2 may decide in {tenant.slug}: so many are told by mail, in turn."

    sent.outbox.clear()
    clock.set(clock.now() + approval_mails.PAUSE + timedelta(seconds=1))
    ask(principal)
    assert approval_mails.tell() == 1
    assert [to for to, _ in told()] == ["kim@sample.test", "max@sample.test"]


def test_a_reminder_is_told_and_delegates_are(principal: Principal, tenant: Tenant, clock: Clock) -> None:
    policy(mails_approvers=True, approvers=["finance"], remind_after_s=3_600)
    kim, lee = person("kim", tenant, "finance"), person("lee", tenant)
    asked = ask(principal)
    approval_mails.tell()
    assert len(told()) == 1
    clock.set(clock.now() + timedelta(hours=2))
    delegations.give(kim, tenant=tenant, delegate="lee", until=clock.now() + timedelta(hours=1))
    assert remind.remind(asked, actor="dispatcher") == "reminded" and lee.user

    assert approval_mails.tell() == 1
    assert [to for to, _ in told()] == ["kim@sample.test", "kim@sample.test", "lee@sample.test"]


def test_who_wants_none_has_no_address_or_left_gets_none(principal: Principal, tenant: Tenant) -> None:
    policy(mails_approvers=True)
    for name in ("kim", "lee", "max", "ann"):
        person(name, tenant)
    Membership.objects.filter(user__username="kim").update(gets_mails=False)
    User.objects.filter(username="lee").update(email="")
    ask(principal)
    assert approval_mails.tell() == 1
    User.objects.filter(username="max").update(is_active=False)

    assert [to for to, _ in told()] == ["ann@sample.test"]
    assert {(task.result or {})["outcome"] for task in written()} == {"sent", "nothing to tell"}


def test_what_was_decided_before_the_mail_left_is_not_told(principal: Principal, tenant: Tenant) -> None:
    policy(mails_approvers=True)
    kim, asked = person("kim", tenant), ask(principal)
    approval_mails.tell()
    decide(kim, asked)
    assert told() == []


def test_without_a_policy_that_says_so_nobody_is_told(principal: Principal, tenant: Tenant) -> None:
    policy()
    person("kim", tenant)
    ask(principal)
    assert approval_mails.tell() == 0 and not written()


def test_a_mail_holds_no_payload_but_the_subject_and_that_only_for_who_may_see_it(
    principal: Principal, tenant: Tenant, settings: Settings
) -> None:
    kim, asked = person("kim", tenant), ask(principal, risk="high")
    content = asked.content | {"subject": "Your invoice\r\nhttps://thief.sample.test/", "body": "secret words"}
    Approval.objects.filter(pk=asked.pk).update(content=content)
    assert kim.user is not None

    def body() -> str:
        found = letters.compose(tenant_id=tenant.pk, user_id=kim.user.pk, approvals=[str(asked.pk)])  # type: ignore[union-attr]
        assert found is not None
        return found["body"]

    assert "high risk" in body() and "“Your invoice  https" in body() and "secret words" not in body()
    Membership.objects.update(sees_payloads=False)
    assert "high risk" in body() and "invoice" not in body()
    settings.AGENTAPP_PUBLIC_URL = ""
    assert "https" not in body() and "the page Approvals of the admin" in body()
    assert electorates.without_links(ApprovalPolicy(mails_approvers=True)) == electorates.NO_LINKS


def test_the_choice_is_ones_own(tenant: Tenant, other_tenant: Tenant) -> None:
    kim, lee = person("kim", tenant), person("lee", other_tenant)
    client = Client()
    assert kim.user and lee.user
    client.force_login(kim.user)
    page = reverse("admin:agentapp_approval_mails")
    foreign = Membership.objects.get(user=lee.user)
    Membership.objects.filter(pk=foreign.pk).update(gets_mails=False)
    text = client.get(page).content.decode()
    assert tenant.slug in text and f'value="{foreign.pk}"' not in text

    client.post(page, {"member": [str(foreign.pk), "x", "²"]})
    assert not Membership.objects.filter(gets_mails=True).exists()
    client.post(page, {"member": [str(Membership.objects.get(user=kim.user).pk)]})
    assert Membership.objects.get(gets_mails=True).user == kim.user


def test_tenants_that_were_told_or_raise_keep_no_other_waiting(
    principal: Principal, other_principal: Principal, tenant: Tenant, other_tenant: Tenant, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(approval_mails, "MOST_TENANTS", 1)
    policy(mails_approvers=True)
    person("kim", tenant)
    person("far", other_tenant)
    ask(principal)
    assert approval_mails.tell() == 1
    bad = ask(principal)
    Approval.objects.filter(pk=bad.pk).update(policy={"approvers": None})
    ask(other_principal)
    # The first tenant is told again in a while; it is due for longer.
    assert approval_mails.tell() == 1
    assert sorted(each.tenant_id for each in written()) == sorted([tenant.pk, other_tenant.pk])

    ask(other_principal)
    clock.set(clock.now() + approval_mails.PAUSE + timedelta(seconds=1))
    assert [approval_mails.tell(), approval_mails.tell()] == [0, 1]
    assert approval_mails.TENANTS.set_aside() == [str(tenant.pk)] and len(written()) == 3
    approval_mails.TENANTS.aside.clear()
