"""Retention rules and legal holds in the admin: what is said there is what the pruner does."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import psycopg
import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from agentapp.admin.retention_rules import RetentionRuleAdmin
from agentapp.clock import Clock
from agentapp.lifecycle import audit_chain, held
from agentapp.models import AuditEntry, GateChange, LegalHold, Membership, RetentionRule, Tenant, Workflow
from agentapp.services import legal_holds, people, principals, retention_preview
from agentapp.services.principals import Principal
from tests.dispatch.test_pruner import DAY_S, look
from tests.harness import run_workflow

pytestmark = pytest.mark.django_db(transaction=True)

HOLDS, RULES = "/admin/agentapp/legalhold/", "/admin/agentapp/retentionrule/"
RULE = {"tenant": "sample", "kind": "probe_loop", "state": "completed", "days": "7", "reason": "agreed"}


@pytest.fixture(autouse=True)
def _counts_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine changes no answer, nor does how many tasks are looked through at once."""
    monkeypatch.setattr(retention_preview, "COUNT_S", 60.0)
    monkeypatch.setattr(held, "AT_ONCE", 1)


@pytest.fixture
def boss(tenant: Tenant) -> Client:
    """An administrator of the first tenant, logged in."""
    client = Client()
    client.force_login(people.add(name="boss", tenant=tenant, role="administrator")[0].user)
    return client


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def page_of(row: Any) -> str:
    return reverse(f"admin:agentapp_{row._meta.model_name}_change", args=(row.pk,))


def look_and_sign_in(client: Client) -> None:
    """The pruner goes by the stopped clock, and deletes the sessions that have ended by it."""
    look()
    client.force_login(User.objects.get())


def test_what_the_pages_say_is_what_the_pruner_does(boss: Client, principal: Principal, clock: Clock) -> None:
    free, held = run_workflow(principal, "probe_loop"), run_workflow(principal, "probe_loop")
    clock.advance(8 * DAY_S)
    look_and_sign_in(boss)
    # By the setting they are kept for 90 days.
    assert set(Workflow.objects.all()) == {free, held}
    task_page = page_of(held)
    (link,) = re.findall(rf'href="({HOLDS}add/\?task=[^"]+)"', boss.get(task_page).content.decode())
    assert f'value="{held.pk}"' in boss.get(link).content.decode()
    form = {"tenant": "sample", "covers": "task", "named": str(held.pk), "reason": "case 7"}
    for _ in range(2):
        assert boss.post(f"{HOLDS}add/", form).status_code == 302
    hold = LegalHold.objects.get()
    assert "case 7" in text_of(boss.get(HOLDS)) and "it cannot be deleted. On the task" in text_of(boss.get(task_page))

    said = text_of(boss.post(f"{RULES}add/", RULE | {"action": "preview"}))
    assert "Tasks that would be deleted now: 1. A legal hold keeps 1 more." in said
    assert not RetentionRule.objects.exists()
    for _ in range(2):
        assert boss.post(f"{RULES}add/", RULE).status_code == 302
    assert "7 days 1 1 agreed" in text_of(boss.get(RULES))
    look_and_sign_in(boss)
    assert Workflow.objects.get() == held
    assert re.search("sample probe_loop completed 1 ", text_of(boss.get(RULES)))

    boss.post(page_of(RetentionRule.objects.get()), {"days": "20", "reason": "longer"})
    for _ in range(2):
        assert boss.post(page_of(hold), {"reason": "closed"}).status_code == 302
    look_and_sign_in(boss)
    assert Workflow.objects.get() == held
    clock.advance(13 * DAY_S)
    look_and_sign_in(boss)
    assert not Workflow.objects.exists()
    changes = GateChange.objects.order_by("pk").values_list("actor", "action", "reason")
    assert [*changes] == [
        ("user:boss", "held", "case 7"), ("user:boss", "created", "agreed"), ("user:boss", "changed", "longer"),
        ("user:boss", "released", "closed"),
    ]  # fmt: skip
    audit_chain.seal()
    assert AuditEntry.objects.filter(source="change", actor="user:boss", number__gt=0).count() == 4


def test_a_change_of_somebody_else_is_not_lost(boss: Client, operator: Client, tenant: Tenant) -> None:
    boss.post(f"{RULES}add/", RULE)
    rule = RetentionRule.objects.get()
    (seen, *_) = re.findall(r'name="as_read" value="([^"]+)"', boss.get(page_of(rule)).content.decode())
    assert operator.post(page_of(rule), {"days": "30", "reason": "longer", "as_read": seen}).status_code == 302

    for late in ({"days": "1"}, {"action": "delete"}):
        answer = boss.post(page_of(rule), late | {"reason": "shorter", "as_read": seen})
        assert answer.status_code == 409 and "Somebody has changed this since you have read it" in text_of(answer)
        # The form that removes a rule has no days: those that are kept are shown.
        assert ('value="30"' in answer.content.decode()) is ("action" in late)
    # A form that is shown again, with what is wrong or what it would delete, is still of what was read.
    for entered in ({"days": "-1"}, {"days": "1", "action": "preview"}):
        shown = boss.post(page_of(rule), entered | {"reason": "shorter", "as_read": seen}).content.decode()
        assert set(re.findall(r'name="as_read" value="([^"]+)"', shown)) == {seen}
    rule.refresh_from_db()
    assert rule.days == 30
    # Pressed twice, the second time with what was read before the first.
    assert operator.post(page_of(rule), {"days": "30", "reason": "longer", "as_read": seen}).status_code == 302
    assert boss.post(f"{RULES}add/", RULE).status_code == 422
    request = boss.get(page_of(rule)).wsgi_request
    RetentionRule.objects.all().delete()
    # Removed while the page was made.
    assert RetentionRuleAdmin(RetentionRule, admin.site).page(request, rule, status=404).status_code == 404


def test_a_rule_and_a_hold_are_for_any_of_many_tenants(operator: Client, tenant: Tenant) -> None:
    Tenant.objects.bulk_create(Tenant(slug=f"t{number:03}", name="T") for number in range(101))
    for address in (RULES, HOLDS):
        assert '<option value="t100">' in operator.get(f"{address}add/").content.decode()
    label = {"tenant": "t100", "covers": "label", "named": ' "a:case":" 7" ', "reason": "case 7"}
    assert 'the label "a:case":" 7" of t100' in unescape(text_of(operator.post(f"{HOLDS}add/", label, follow=True)))


@pytest.mark.parametrize(
    ("address", "changed", "status", "sentence"),
    [
        (RULES, {"days": "-1"}, 422, "whole number of days from 1 to 36,500"),
        (RULES, {"days": "36501", "action": "preview"}, 422, "whole number of days from 1 to 36,500"),
        (RULES, {"kind": "nothing"}, 422, "There is no workflow kind"),
        (RULES, {"tenant": "other"}, 422, "Choose one of the tenants"),
        (RULES, {"tenant": ""}, 422, "Choose one of the tenants"),
        (HOLDS, {"tenant": "other"}, 422, "Choose one of the tenants"),
        (HOLDS, {"reason": " "}, 422, "Say why."),
        (HOLDS, {"named": ""}, 422, "Write which one."),
        (HOLDS, {"covers": "tenant"}, 422, "Leave this empty for the whole tenant."),
        (HOLDS, {"covers": "label"}, 422, "as in case:7"),
        (HOLDS, {"covers": "label", "named": "a:case:7"}, 422, "Quote, as in JSON"),
        (HOLDS, {"covers": "task"}, 404, "has no task ann@example.org"),
    ],
)
def test_what_does_not_fit_is_said_in_words(
    boss: Client, other_tenant: Tenant, address: str, changed: dict[str, str], status: int, sentence: str
) -> None:
    hold = {"tenant": "sample", "covers": "customer", "named": "ann@example.org", "reason": "case 7"}
    answer = boss.post(f"{address}add/", (RULE if address == RULES else hold) | changed)

    assert answer.status_code == status and sentence in text_of(answer)
    assert not RetentionRule.objects.exists() and not LegalHold.objects.exists()


def test_counts_have_a_bound(
    operator: Client, principal: Principal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        run_workflow(principal, "probe_loop")
    clock.advance(91 * DAY_S)
    monkeypatch.setattr(retention_preview, "MOST_COUNTED", 2)
    monkeypatch.setattr("agentapp.admin.retention_rules.MOST_COUNTED", 2)
    assert "completed 90 days 2+ 0" in text_of(operator.get(RULES))
    monkeypatch.setattr(retention_preview, "COUNT_S", 0.0)
    assert "completed 90 days not counted in time" in text_of(operator.get(RULES))


def test_a_count_that_takes_too_long_is_given_up(
    principal: Principal, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_preview, "COUNT_S", 60.0)
    superuser = principals.of_user(admin_user)
    terms = retention_preview.terms(superuser)
    assert [each.due for each in retention_preview.previews(superuser, terms)] == [0, 0, 0]
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("LOCK TABLE agentapp_workflow")
        monkeypatch.setattr(retention_preview, "COUNT_S", 0.1)
        assert [each.due for each in retention_preview.previews(superuser, terms)] == [None] * 3


def test_the_customer_of_a_hold_is_masked_for_who_may_not_see_payloads(
    boss: Client, principal: Principal, tenant: Tenant
) -> None:
    on = legal_holds.cover(tenant, customer="ann@example.org")
    hold = legal_holds.place(tenant, on=on, reason="case 7", by="ada")
    task = run_workflow(principal, "probe_loop")
    Workflow.objects.filter(pk=task.pk).update(error={"class": "x", "message": "ann@example.org"})
    pages = (HOLDS, page_of(hold))
    assert all("ann@example.org" in text_of(boss.get(page)) for page in pages)
    Membership.objects.update(sees_payloads=False)
    assert not any("ann@example.org" in text_of(boss.get(page)) for page in (*pages, f"{HOLDS}?q=ann"))
    assert "On the customer [masked" in text_of(boss.get(page_of(task)))
