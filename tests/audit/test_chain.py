"""The audit chain: what people do leaves entries, and what is changed afterwards shows. [H4] [B1]"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.test import override_settings

from agentapp.dispatch import auditor
from agentapp.lifecycle import audit, audit_chain, cancel, gates, holds, prune
from agentapp.lifecycle.audit_chain import Head, seal, verify
from agentapp.models import AuditEntry, Erasure, Gate, GateChange, History, Tenant
from agentapp.services import api_keys, workflows
from agentapp.services.principals import Principal
from tests.approvals.asking import ask, decide, person
from tests.harness import run_workflow

pytestmark = pytest.mark.django_db
NO_RECORDS = "the record that it tells of"


def change(pattern: str = "probe_first", slots: int = 1) -> Gate:
    return gates.keep(Gate(scope="job_type", pattern=pattern, concurrency=slots), actor="user:ada", reason="too many")


def five() -> None:
    """Five sealed entries, by nobody's task."""
    for number in range(5):
        audit.note(f"thing {number}", "changed", actor="user:ada", before={"is": number}, after={"is": number + 1})
    seal()


def findings(**arguments: Any) -> list[str]:
    return verify(**({"kept_days": 0} | arguments)).findings


def numbers() -> list[int | None]:
    return list(AuditEntry.objects.order_by("number").values_list("number", flat=True))


def test_what_people_do_leaves_entries_and_what_machines_do_leaves_none(principal: Principal, tenant: Tenant) -> None:
    change()
    run_workflow(principal, "probe_loop")
    approval = ask(principal)
    decide(person("kim", tenant), approval)
    ended = workflows.submit(principal, kind="probe_fan", input={})
    cancel.cancel(ended.pk, actor=principal.actor, reason="not needed")

    said = list(AuditEntry.objects.order_by("pk").values_list("actor", "action", "target", "tenant_number"))
    assert said == [
        ("user:ada", "created", "gate job_type probe_first", None),
        ("user:kim", "approval approved", f"task {approval.workflow_id}", tenant.pk),
        (principal.actor, "workflow cancelled", f"task {ended.pk}", tenant.pk),
    ]


def test_entries_are_numbered_and_linked_once_and_the_head_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    change()
    assert numbers() == [None] and findings() == []
    caplog.set_level("INFO")

    assert auditor.seal() == 1
    change("probe_second")
    change("probe_third")
    assert (auditor.seal(), auditor.seal()) == (3, 0)

    assert numbers() == [1, 2, 3] and findings() == []
    head = audit_chain.newest()
    sealed = [vars(record) for record in caplog.records if getattr(record, "event", "") == "audit.sealed"]
    assert [record["number"] for record in sealed] == ["1", "3"] and sealed[-1]["link"] == head.link


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("UPDATE agentapp_auditentry SET actor = 'user:bob' WHERE number = 3", "entry 3 .* something else than when"),
        ("UPDATE agentapp_auditentry SET at = at + interval '1 us' WHERE number = 3", "entry 3 .* something else"),
        ("DELETE FROM agentapp_auditentry WHERE number = 3", "entry 4 .* 1 before it are gone"),
        ("DELETE FROM agentapp_auditentry WHERE number <= 2", "entry 3 .* 2 before it are gone"),
        ("UPDATE agentapp_gatechange SET after = '{}' WHERE target = 'thing 2'", "entry 3 .* was changed"),
        ("UPDATE agentapp_gatechange SET actor = 'user:bob' WHERE target = 'thing 2'", "entry 3 .* was changed"),
        ("DELETE FROM agentapp_gatechange WHERE target = 'thing 2'", "entry 3 .* is gone"),
        (
            "DELETE FROM agentapp_auditentry WHERE number = 3;"
            "UPDATE agentapp_auditentry SET number = number - 1 WHERE number > 3",
            "entry 3 .* does not follow",
        ),
        # Without the key one cannot write the link of what one writes.
        (
            "UPDATE agentapp_auditentry SET is_erased = true, target = 'x',"
            " text_sha256 = encode(sha256('x'), 'hex') WHERE number = 3",
            "entry 3 .* does not follow",
        ),
    ],
)
def test_what_is_changed_by_hand_shows(tampering: str, said: str) -> None:
    five()
    assert findings() == []

    with connection.cursor() as cursor:
        cursor.execute(tampering)

    assert any(re.search(said, finding) for finding in findings()), findings()


def test_an_end_that_was_cut_off_contradicts_the_log() -> None:
    five()
    head = audit_chain.newest()
    AuditEntry.objects.filter(number__gt=3).delete()
    assert findings() == [], "the rest is a chain"

    assert findings(expected=head) == ["entry 5 is not the one that was seen: it was replaced, or cut off"]
    audit.note("thing", "changed", actor="user:bob")
    audit.note("thing", "changed", actor="user:bob")
    seal()
    assert findings(expected=head) == ["entry 5 is not the one that was seen: it was replaced, or cut off"]
    assert findings(expected=audit_chain.newest()) == []


def test_a_decision_that_is_rewritten_shows_and_a_task_that_is_forgotten_does_not(
    principal: Principal, tenant: Tenant
) -> None:
    approval = ask(principal)
    decide(person("kim", tenant), approval, reason="fine")
    seal()
    decided = History.objects.filter(approval_id=approval.pk, actor="user:kim")
    assert decided.update(reason="never") == 1

    assert [finding.split(": ")[1] for finding in findings()] == [f"{NO_RECORDS} was changed"]
    decided.delete()
    assert [finding.split(": ")[1] for finding in findings()] == [f"{NO_RECORDS} is gone"]
    prune.forget(type(approval.workflow).objects.filter(pk=approval.workflow_id), limit=1)
    assert findings() == [] and AuditEntry.objects.get(source="history").actor == "user:kim"


def test_another_key_is_no_tampering_as_long_as_the_one_before_is_named() -> None:
    five()
    before = settings.SECRET_KEY
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[]):
        assert len(findings()) == 5
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[before]):
        audit.note("thing", "changed", actor="user:ada")
        seal()
        assert findings() == []


def test_the_oldest_go_when_their_time_is_over_and_the_rest_holds() -> None:
    five()
    AuditEntry.objects.all().delete()
    long_ago = GateChange.objects.latest("pk").at - timedelta(days=1_200)
    for number in range(3):
        GateChange.objects.create(at=long_ago, actor="user:ada", action="changed", target=f"old {number}")
    audit.note("new", "changed", actor="user:ada")
    seal()
    GateChange.objects.filter(at=long_ago).delete()
    assert numbers() == [1, 2, 3, 4]

    assert audit_chain.forget(older_than_days=1_000, limit=1) == 1
    assert numbers() == [2, 3, 4] and findings(kept_days=1_000) == []
    assert (audit_chain.forget(older_than_days=1_000), audit_chain.forget(older_than_days=1_000)) == (1, 0)
    assert numbers() == [3, 4] and findings(kept_days=1_000) == []
    # By somebody else, before their time.
    AuditEntry.objects.filter(number=3).delete()
    assert [finding.split(": ")[1] for finding in findings(kept_days=1_000)] == [
        "3 before it are gone, which should have been kept"
    ]


def test_a_held_tenant_keeps_its_entries_and_all_after_them(tenant: Tenant, principal: Principal) -> None:
    AuditEntry.objects.all().delete()
    decide(person("kim", tenant), ask(principal))
    five()
    AuditEntry.objects.update(at=AuditEntry.objects.latest("pk").at - timedelta(days=9))
    holds.place(tenant.pk, reason="case 7", actor="user:ada")

    assert audit_chain.forget(older_than_days=1) == 0
    assert AuditEntry.objects.get(number=1).tenant_number == tenant.pk


def test_an_erased_tenant_is_named_nowhere_and_the_chain_holds(tenant: Tenant, principal: Principal) -> None:
    decide(person("kim", tenant), ask(principal))
    gates.keep(Gate(scope="tenant", pattern=tenant.slug, concurrency=1), actor="user:kim")
    number = tenant.pk
    seal()

    call_command("erase_tenant", tenant.slug, "--yes", stdout=StringIO())
    seal()

    assert findings() == []
    assert not AuditEntry.objects.filter(tenant_number=number).exists()
    said = AuditEntry.objects.exclude(source="erasure").values_list("actor", "action", "target", "is_erased")
    assert set(said) == {("", "", "", True)}
    assert AuditEntry.objects.get(source="erasure").target == f"tenant {number}"
    assert Erasure.objects.get().removed["AuditEntry"] >= 1


def test_keys_leave_entries(tenant: Tenant) -> None:
    key, _ = api_keys.create(tenant=tenant, name="x", scopes=["tasks:write"])
    api_keys.revoke(key)

    made, revoked = AuditEntry.objects.order_by("pk").values_list("action", "target")
    assert made == ("created", f"key {key.prefix} in {tenant.slug}")
    assert revoked == ("revoked", f"key {key.prefix} in {tenant.slug}")


def test_the_command_says_what_it_found_and_ends_with_one() -> None:
    five()
    out, err = StringIO(), StringIO()
    call_command("verify_audit", stdout=out, stderr=err)
    head = audit_chain.newest()
    assert f"5 entries are sealed, of which 0 were erased; 0 wait for the dispatcher. The head is 5:{head.link}" in (
        out.getvalue()
    )
    call_command("verify_audit", "--head", f"5:{head.link}", stdout=out, stderr=err)
    assert err.getvalue() == ""

    AuditEntry.objects.filter(number=2).update(actor="user:bob")
    with pytest.raises(CommandError, match="does not hold: 1 finding\\."):
        call_command("verify_audit", stdout=out, stderr=err)
    assert "entry 2 (user:bob changed thing 1): it says something else" in err.getvalue()


def test_a_head_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="NUMBER:LINK"):
        call_command("verify_audit", "--head", "5")


@pytest.mark.django_db(transaction=True)
def test_two_leaders_that_seal_at_once_make_one_chain() -> None:
    def seal_all() -> None:
        try:
            while seal(limit=3):
                pass
        finally:
            connection.close()

    for number in range(30):
        audit.note(f"thing {number}", "changed", actor="user:ada")
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(seal_all) for _ in range(4)]:
            done.result()

    assert numbers() == list(range(1, 31)) and findings() == []


@pytest.mark.django_db(transaction=True)
def test_an_entry_whose_transaction_ends_late_is_sealed_then() -> None:
    with transaction.atomic():
        audit.note("early", "changed", actor="user:ada")

        def other() -> None:
            try:
                audit.note("late", "changed", actor="user:bob")
                assert seal() is not None
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(other).result()
    assert seal() == audit_chain.newest() != Head()

    assert list(AuditEntry.objects.order_by("number").values_list("target", flat=True)) == ["late", "early"]
    assert findings() == []
