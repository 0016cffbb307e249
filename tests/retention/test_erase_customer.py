"""Nothing that names an erased customer is left, in no table; nothing about another one is touched. [I3]"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.db import models as fields
from django.db.models import Model
from django.utils.crypto import salted_hmac

from agentapp.clock import Clock
from agentapp.errors import InvalidInput
from agentapp.lifecycle import audit, customer, database, erase, holds, memories, read_until
from agentapp.models import (
    Artifact,
    AuditEntry,
    Document,
    Erasure,
    GateChange,
    LegalHold,
    Membership,
    MemoryChange,
    SavedView,
    Tenant,
    Workflow,
)
from agentapp.models.artifact import artifact_storage
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.dispatch.test_pruner import full_task
from tests.harness import run_workflow
from tests.retention.filling import fill

pytestmark = pytest.mark.django_db(transaction=True)

ANN, JOANN = "ann@x.test", "joann@x.test"


def erased(about: str = ANN, slug: str = "sample") -> str:
    out = StringIO()
    call_command("erase_customer", slug, about, "--yes", stdout=out)
    return out.getvalue()


def filled(tenant: Tenant, user: User, about: str) -> dict[type[Model], Model]:
    """A row in each table, and the name in all of its texts."""
    rows = fill(tenant, user)
    rows.pop(LegalHold).delete()
    for model, row in rows.items():
        texts = {column.name: value for column in model._meta.concrete_fields if (value := _text(column, about))}
        if texts:
            model._default_manager.filter(pk=row.pk).update(**texts)
    return rows


def _text(column: Any, about: str) -> Any:
    if isinstance(column, fields.JSONField):
        return {"text": f"Dear\n{about.upper()}, ..."}
    if isinstance(column, ArrayField):
        return [about] if isinstance(column.base_field, fields.CharField) else None
    is_text = isinstance(column, fields.CharField | fields.TextField) and not column.choices
    return about if is_text and (column.max_length or 100) >= len(about) else None


def naming() -> dict[str, int]:
    """How many rows have her address in any column, over all tables but those of what people have set up."""
    tables = {model._meta.db_table for model in apps.get_models() if model not in customer.SET_UP}
    counts = {}
    with connection.cursor() as cursor:
        for table in sorted(tables):
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text ILIKE %s', [f"%{ANN}%"])
            counts[table] = cursor.fetchone()[0]
    return {table: rows for table, rows in counts.items() if rows}


def gone(rows: dict[type[Model], Model]) -> set[str]:
    return {erase.name(model) for model, row in rows.items() if not model._default_manager.filter(pk=row.pk).exists()}


def test_no_row_that_names_them_is_left(tenant: Tenant, admin_user: User) -> None:
    filled(tenant, admin_user, ANN)
    Membership.objects.get_or_create(user=admin_user, tenant=tenant)
    SavedView.objects.create(user=admin_user, page="workflow", name="hers", query="q=ann%40x.test")
    audit.note(f"tenant:{tenant.pk}", "changed", actor="x", reason=f"asked by {ANN}")
    assert len(naming()) > 20

    report = erased()

    assert naming() == {}
    record = Erasure.objects.get()
    assert record.finished_at is not None and record.about_hash and ANN not in str(record.removed)
    entry = AuditEntry.objects.get(source="erasure")
    assert ANN not in str(AuditEntry.objects.filter(pk=entry.pk).values())
    assert record.removed["Workflow"] == 1 and "The customer is erased." in report
    assert not SavedView.objects.exists() and not GateChange.objects.filter(reason__contains=ANN).exists()


def test_what_is_about_others_stays(tenant: Tenant, other_tenant: Tenant, admin_user: User) -> None:
    theirs, hers = filled(other_tenant, admin_user, ANN), filled(tenant, admin_user, JOANN)

    erased()

    assert gone(theirs) == gone(hers) == set()
    with pytest.raises(CommandError, match="at least 5 characters"):
        erased("ann")


def test_stopped_in_the_middle_it_goes_on_and_twice_it_does_nothing(principal: Principal) -> None:
    tasks = [full_task(principal), full_task(principal)]
    Workflow.objects.filter(pk=tasks[0].pk).update(labels={"customer": ANN})
    # A store that cannot delete one of the files now.
    stuck = Path(artifact_storage().path(str(Artifact.objects.filter(workflow=tasks[0])[0].file.name)))
    content = stuck.read_bytes()
    stuck.unlink()
    (stuck / "inside").mkdir(parents=True)
    with pytest.raises(CommandError, match="Run the command again"):
        erased()
    (stuck / "inside").rmdir()
    stuck.rmdir()
    stuck.write_bytes(content)

    erased()
    erased(ANN.upper())

    assert list(Workflow.objects.values_list("pk", flat=True)) == [tasks[1].pk]
    first, second = Erasure.objects.order_by("pk")
    assert (first.removed["Workflow"], second.removed) == (1, {})
    assert first.about_hash == second.about_hash


def test_open_tasks_of_theirs_are_cancelled_and_a_hold_refuses(principal: Principal) -> None:
    ended = run_workflow(principal, "probe_loop")
    waits = workflows.submit(principal, kind="probe_loop", input={}, labels={"customer": ANN})
    Workflow.objects.filter(pk=ended.pk).update(labels={"customer": ANN})
    hold = holds.place(ended.tenant_id, cover=holds.Cover(ended.pk), reason="case 7", actor="user:ada")
    # One on what does not name them keeps nothing of theirs, but a document of hers whose file names them.
    hers = holds.place(ended.tenant_id, cover=holds.Cover(customer=JOANN), reason="case 8", actor="user:ada")
    now, tenant = database.now(), ended.tenant_id
    file = Artifact.objects.create(tenant_id=tenant, name=f"of {ANN}, 1.pdf", file="none/hers", size=1, created_at=now)
    document = {"source": "hers", "title": JOANN, "size": 1, "created_at": now, "updated_at": now}
    Document.objects.create(tenant_id=tenant, upload_id=file.pk, **document)

    with pytest.raises(CommandError, match=r"user:ada has placed a legal hold .*case 7.*--lift"):
        erased()
    waits.refresh_from_db()
    assert waits.finished_at is None, "nothing was changed"
    holds.lift(hold, reason="over", actor="user:ada")
    with pytest.raises(CommandError, match=r"The document hers cannot be deleted: .*case 8"):
        erased()
    holds.lift(hers, reason="over", actor="user:ada")
    assert "named by 2 tasks. Open ones that were cancelled: 1." in erased()
    assert not Workflow.objects.exists() and not Artifact.objects.exists() and not Document.objects.exists()


def test_a_task_that_runs_one_of_theirs_as_a_part_ends_first(principal: Principal) -> None:
    parent = workflows.submit(principal, kind="probe_loop", input={})
    part = run_workflow(principal, "probe_loop")
    Workflow.objects.filter(pk=part.pk).update(labels={"customer": ANN}, parent=parent.pk, origin="child")

    with pytest.raises(CommandError, match=rf"{parent.pk} .*as a part of itself"):
        erased()
    assert Workflow.objects.filter(pk=part.pk).exists()


def test_an_erased_customer_is_remembered_again_in_no_spelling(tenant: Tenant, clock: Clock) -> None:
    began_at = clock.now()
    clock.advance(5)
    spellings = ["ann@straße.test", "ann@strasse.test"]
    for one, other in (spellings, spellings[::-1]):
        MemoryChange.objects.all().delete()
        read_until.put(tenant.pk, one, read_until.READ, began_at, actor="x")
        erased(one)
        with pytest.raises(InvalidInput, match="was erased after this task had begun"):
            memories.write(memories.Fact(tenant.pk, other, "takes tea", "x", True), began_at=began_at)
        # What the release before has kept, and reads.
        assert MemoryChange.objects.filter(fact_id=_old_mark(tenant, one), action=read_until.ERASED).exists()
        # Tasks in the other spelling have not been read.
        assert read_until.of(tenant.pk, [other])[other].read is None

    lock = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
    with database.session() as session, database.waits_for_locks(within_s=0.05), session.transaction():
        session.execute(lock, [memories._LOCK, f"{tenant.pk} ann@strasse.test"])
        with pytest.raises(OperationalError):
            memories.write(memories.Fact(tenant.pk, "ann@straße.test", "takes tea", "x", True))


def _old_mark(tenant: Tenant, about: str) -> UUID:
    keyed = salted_hmac("agentapp.memories.read_until", f"{tenant.pk} {about}", algorithm="sha256")
    return UUID(bytes=keyed.digest()[:16])
