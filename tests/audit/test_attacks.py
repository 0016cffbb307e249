"""What no check may miss, and what no check may take for tampering. [H4] [B1]"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agentapp.lifecycle import audit, audit_chain, database, erase
from agentapp.lifecycle.audit_chain import seal
from agentapp.models import AuditEntry, GateChange, Tenant
from agentapp.services.principals import Principal
from tests.approvals.asking import ask, decide, person
from tests.audit.test_chain import findings, five, numbers

pytestmark = pytest.mark.django_db


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        # Who marks an entry as erased need not touch what is sealed.
        (
            "UPDATE agentapp_auditentry SET is_erased = true WHERE number = 3;"
            "UPDATE agentapp_gatechange SET actor = 'user:bob' WHERE target = 'thing 2'",
            "entry 3 .* something else than when",
        ),
        (
            "UPDATE agentapp_auditentry SET is_erased = true, actor = '', action = '', target = '' WHERE number = 3;"
            "UPDATE agentapp_gatechange SET actor = 'user:bob' WHERE target = 'thing 2'",
            "entry 3 .* was erased, and the record that it tells of is there",
        ),
        ("UPDATE agentapp_auditentry SET source_key = 'x' WHERE number = 3", "entry 3 .* something else"),
        ("UPDATE agentapp_auditentry SET source = 'x' WHERE number = 3", "entry 3 .* something else"),
        (
            "UPDATE agentapp_auditentry SET is_erased = true, actor = '', action = '', target = '', source_key = 'x'"
            " WHERE number = 3",
            "entry 3 .* something else",
        ),
    ],
)
def test_an_entry_that_is_made_unreadable_is_a_finding(tampering: str, said: str) -> None:
    five()
    run(tampering)

    assert any(re.search(said, finding) for finding in findings()), findings()


def test_a_decision_that_is_said_to_be_erased_shows(principal: Principal, tenant: Tenant) -> None:
    decide(person("kim", tenant), ask(principal))
    seal()
    AuditEntry.objects.update(is_erased=True, actor="", action="", target="", tenant_number=None)

    assert [finding.split(": ")[1] for finding in findings()] == [
        "it was erased, and the record that it tells of is there"
    ]


@pytest.mark.parametrize(("days", "said"), [(9, []), (0, ["3 before it are gone, which should have been kept"])])
def test_entries_that_are_forgotten_while_they_are_checked_are_no_finding(
    days: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = database.now() - timedelta(days=days)
    for number in range(5):
        GateChange.objects.create(at=at, actor="user:ada", action="changed", target=f"thing {number}")
    seal()
    whole = audit_chain._records

    def forgetting(entries: set[int], **more: Any) -> Iterator[tuple[int, str]]:
        yield from whole(entries, **more)
        if AuditEntry.objects.get(pk=max(entries)).number == 2:
            AuditEntry.objects.filter(number__lt=4).delete()

    monkeypatch.setattr(audit_chain, "BATCH", 2)
    monkeypatch.setattr(audit_chain, "_records", forgetting)
    assert [finding.split(": ")[1] for finding in findings(kept_days=5)] == said


def test_a_head_from_before_the_oldest_that_is_left_is_no_finding() -> None:
    five()
    seen = audit_chain.Head(1, AuditEntry.objects.get(number=1).link)
    AuditEntry.objects.filter(number__lt=3).delete()
    AuditEntry.objects.filter(number=3).update(at=GateChange.objects.latest("pk").at - timedelta(days=9))

    assert not any("entry 1 is not the one" in finding for finding in findings(kept_days=5, expected=seen))
    AuditEntry.objects.all().delete()
    assert findings(kept_days=5, expected=seen) == ["entry 1 is not the one that was seen: it was replaced, or cut off"]


NAMING = (
    "person 1 in sample", "key abc in sample", "gate tenant sample", "gate tenant sample of tier gold",
    "tool server sample/crm", "tool sample/crm/find", "model choice of sample, all job types",
)  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_changes_that_name_an_erased_tenant_are_erased_also_where_their_records_are_gone(tenant: Tenant) -> None:
    names = [*NAMING, f"tenant:{tenant.pk}"]
    for name in [*names, "person 1 in other", "tool samples/crm/find"]:
        audit.note(name, "changed", actor="user:ada")
    seal()
    # By their age: they are kept for a year, and entries for three.
    GateChange.objects.filter(target__in=names[::2]).delete()

    call_command("erase_tenant", tenant.slug, "--yes", stdout=StringIO())

    left = AuditEntry.objects.exclude(source="erasure").filter(is_erased=False)
    assert sorted(left.values_list("target", flat=True)) == ["person 1 in other", "tool samples/crm/find"]
    assert GateChange.objects.count() == 2 and not any(erase.left(tenant).values())


def test_a_thousand_entries_are_sealed_by_a_few_statements() -> None:
    with transaction.atomic():
        for number in range(300):
            audit.note(f"thing {number}", "changed", actor="user:ada")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        seal()

    assert len([query for query in asked if "SAVEPOINT" not in query["sql"]]) <= 5
    assert numbers() == list(range(1, 301)) and findings() == []
