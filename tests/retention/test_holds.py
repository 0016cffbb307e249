"""What a legal hold names is not deleted, by nobody, until it is lifted."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.db import models as fields

from agentapp.clock import Clock
from agentapp.errors import IllegalMove
from agentapp.ids import uuid7
from agentapp.lifecycle import database, erase, held, holds, prune, texts
from agentapp.models import (
    ApiKey,
    Artifact,
    Chunk,
    Document,
    GateChange,
    IdempotencyKey,
    LegalHold,
    Memory,
    MemoryChange,
    Message,
    ModelCall,
    ScheduleRun,
    SearchEntry,
    Stage,
    Tenant,
    TenantDay,
    WebhookEvent,
    Workflow,
)  # fmt: skip
from agentapp.policies import facts, naming
from agentapp.services import documents, erasing_customers, legal_holds, memories
from agentapp.services.principals import Principal
from agentapp.states import WorkflowState
from tests.dispatch.test_pruner import DAY_S, ended_task, look, write_artifact
from tests.harness import run_workflow
from tests.pure.test_naming import NAMING, OTHERS
from tests.retention.filling import fill

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_a_legal_hold_names_stays_until_it_is_lifted(
    principal: Principal, other_principal: Principal, clock: Clock
) -> None:
    held, free = ended_task(principal, "completed"), ended_task(principal, "completed")
    other = ended_task(other_principal, "completed")
    of_task = holds.place(held.tenant_id, cover=holds.Cover(held.pk), reason="case 7", actor="user:ada")
    of_tenant = holds.place(other.tenant_id, reason="case 8", actor="user:ada")
    assert holds.place(other.tenant_id, reason="again", actor="user:ben") == of_tenant
    clock.advance(91 * DAY_S)

    assert look() == 1
    assert set(Workflow.objects.all()) == {held, other} and not Workflow.objects.filter(pk=free.pk).exists()
    for hold in (of_task, of_tenant):
        holds.lift(hold, reason="over", actor="user:ben")
    assert look() == 2
    changes = GateChange.objects.order_by("pk").values_list("actor", "action", "reason")
    assert [*changes] == [
        ("user:ada", "held", "case 7"), ("user:ada", "held", "case 8"),
        ("user:ben", "released", "over"), ("user:ben", "released", "over"),
    ]  # fmt: skip


def test_the_command_places_lists_and_lifts_holds(principal: Principal, other_principal: Principal) -> None:
    task = run_workflow(principal, "probe_loop")
    others = run_workflow(other_principal, "probe_loop")

    def held(*arguments: str) -> str:
        out = StringIO()
        call_command("legal_hold", "sample", *arguments, stdout=out)
        return out.getvalue()

    assert held() == "There is no legal hold on sample.\n"
    assert "by ada: case 7" in held("--task", str(task.pk), "--reason", "case 7", "--by", "ada")
    with pytest.raises(CommandError, match="no task"):
        held("--task", str(others.pk), "--reason", "of another tenant")
    with pytest.raises(CommandError, match="no legal hold on the whole of sample"):
        held("--lift", "over")
    assert held("--task", str(task.pk), "--lift", "over") == "No legal hold is left on sample.\n"


def test_a_hold_on_a_tenant_keeps_documents_and_memories(principal: Principal) -> None:
    tenant = Tenant.objects.get(slug="sample")
    document = Document.objects.create(
        tenant=tenant, source="a.md", title="a", size=1, created_at=tenant.created_at, updated_at=tenant.created_at
    )
    holds.place(tenant.pk, reason="case 7", actor="user:ada")

    with pytest.raises(IllegalMove, match=f"The document {document.pk} cannot be deleted: a legal hold keeps it"):
        documents.delete(principal, document.pk)
    with pytest.raises(IllegalMove, match="remembered of a customer cannot be deleted"):
        memories.erase_about(principal, about="ben@example.org")
    assert Document.objects.filter(pk=document.pk).exists()


def test_a_hold_on_a_label_or_a_customer_keeps_what_has_it_or_names_them(principal: Principal, clock: Clock) -> None:
    labelled, part, asked, written, free = (ended_task(principal, "completed") for _ in range(5))
    Workflow.objects.filter(pk=labelled.pk).update(labels={"a:case": " 7"})
    Workflow.objects.filter(pk=part.pk).update(parent=labelled.pk, origin="child", labels={"case": "8"})
    Workflow.objects.filter(pk=asked.pk).update(input={"from": "Ann@Straße.test"})
    Workflow.objects.filter(pk=free.pk).update(input={"from": "joann@straße.test"})
    Message.objects.create(
        workflow=written, tenant_id=written.tenant_id, number=1, text="ask ann@strasse.test", created_at=clock.now()
    )
    fact = Memory.objects.create(
        tenant_id=free.tenant_id, about="ann@straße.test", text="a", text_sha256="", fact_id=uuid7(),
        valid_from=clock.now(), written_by="x", is_untrusted=False,
    )  # fmt: skip
    for option, named in (("--label", '"a:case":" 7"'), ("--customer", "ANN@STRASSE.TEST")):
        call_command("legal_hold", "sample", option, named, "--reason", "case 7", stdout=StringIO())
    clock.advance(91 * DAY_S)

    assert look() == 1 and set(Workflow.objects.all()) == {labelled, part, asked, written}
    assert [hold.covers for hold in holds.of_task(part.pk, most=9)] == ['the label "a:case":" 7"']
    with pytest.raises(IllegalMove, match="remembered of a customer cannot be deleted: a legal hold keeps it"):
        memories.erase(principal, fact.pk)
    for option in ("--reason", "--lift"):
        call_command("legal_hold", "sample", "--customer", "ann@straße.test", option, "again", stdout=StringIO())
    assert look() == 2
    with pytest.raises(CommandError, match="There is no legal hold on the label case:8"):
        call_command("legal_hold", "sample", "--label", "case:8", "--lift", "over")
    with pytest.raises(CommandError, match="Quote, as in JSON"):
        call_command("legal_hold", "sample", "--label", "a:case:7", "--reason", "case 7")


def test_postgres_finds_a_customer_as_the_pure_tests_say(db: None) -> None:
    with connection.cursor() as cursor:
        for cases, is_named in ((NAMING, True), (OTHERS, False)):
            for customer, text in cases:
                cursor.execute("SELECT normalize(%s, NFD) ~ %s", [text, naming.pattern(facts.about(customer))])
                assert cursor.fetchone() == (is_named,), (customer, text)


def test_a_hold_and_an_erase_find_a_customer_in_all_that_goes_with_a_task(tenant: Tenant, admin_user: User) -> None:
    rows = fill(tenant, admin_user)
    LegalHold.objects.all().delete()
    task = rows[Workflow]
    # Of these there are no words, but as they stand in the task.
    assert texts.OF_TASK.keys() == {Workflow, Artifact, ModelCall, *erase.WITH_TASK} - {SearchEntry}
    on = legal_holds.cover(tenant, customer="ViệtSS")
    hold = legal_holds.place(tenant, on=on, reason="case 7", by="ada")
    assert held.tasks([task.pk]) == {}
    for model in texts.OF_TASK:
        column = next(each.name for each in model._meta.concrete_fields if _is_text(each))
        row = model._default_manager.filter(pk=rows[model].pk)
        was = getattr(rows[model], column)
        # As a keyboard for Vietnamese writes it.
        row.update(**{column: "an Vi\u00ea\u0323tß"})
        assert held.tasks([task.pk]) == {task.pk: {hold.pk}}, model
        assert erasing_customers.of(tenant, "Việtß").tasks() == {task.pk}, model
        row.update(**{column: was})
    assert held.tasks([task.pk]) == {}


def _is_text(column: Any) -> bool:
    return isinstance(column, fields.CharField | fields.TextField) and not column.choices


def test_what_holds_keep_is_not_in_the_way_of_what_is_behind_it(principal: Principal, clock: Clock) -> None:
    """A look goes through a few tasks; it begins neither with the same ones each time, nor behind what is free now."""
    tasks = [ended_task(principal, "completed") for _ in range(prune.LOOKED_THROUGH + 2)]
    *kept, free = tasks
    tenant = Tenant.objects.get(slug="sample")
    for number, task in enumerate(kept):
        Workflow.objects.filter(pk=task.pk).update(labels={"customer": f"customer {number % 2} of ours"})
    for number in range(2):
        on = legal_holds.cover(tenant, customer=f"Customer {number} of ours")
        legal_holds.place(tenant, on=on, reason="case 7", by="ada")
    clock.advance(2 * DAY_S)
    due = prune.due(WorkflowState.COMPLETED, older_than_days=1)

    for by in ("finished_at", "pk"):
        passed = prune.Passed()
        assert prune.tasks(due, limit=1, by=by, passed=passed) == 0
        assert passed.last is not None and passed.last[0] == kept[-2].pk
    assert prune.tasks(due, limit=1, by="pk", passed=passed) == 1 and not Workflow.objects.filter(pk=free.pk).exists()
    assert prune.tasks(due, limit=1, by="pk", passed=passed) == 0 and passed.last is None
    LegalHold.objects.all().delete()
    assert prune.tasks(due, limit=1, by="pk", passed=passed) == 1
    # A look was cut off that had asked for the first one alone.
    passed, first = prune.Passed(at_once=0), due.order_by("pk")[0]
    assert prune.tasks(due, limit=1, by="pk", passed=passed) == 1 and due.filter(pk=first.pk).exists()
    assert prune.tasks(due, limit=1, by="pk", passed=prune.Passed()) == 1 and passed.at_once is None


def test_a_hold_on_a_customer_keeps_documents_that_name_them(tenant: Tenant, principal: Principal) -> None:
    now = database.now()
    upload = write_artifact(ended_task(principal, "completed"), "Dear Weisse")
    Artifact.objects.filter(pk=upload.pk).update(workflow=None)
    named, other = (
        Document.objects.create(tenant=tenant, source=source, title="a", size=1, created_at=now, updated_at=now)
        for source in ("a.md", "b.md")
    )
    Document.objects.filter(pk=named.pk).update(upload_id=upload.pk)
    Chunk.objects.create(document=named, tenant=tenant, position=1, text="Ann Lee writes to\nHerrn Weiße")
    call_command("legal_hold", "sample", "--customer", "WEISSE", "--reason", "case 7", stdout=StringIO())

    with pytest.raises(IllegalMove, match=f"The document {named.pk} cannot be deleted: a legal hold keeps it"):
        documents.delete(principal, named.pk)
    remembered = {"Ann Lee": "takes tea", "Weiße": "met Ben Lee"}
    for about, text in remembered.items():
        fact = {"about": facts.about(about), "text": text, "text_sha256": "", "fact_id": uuid7(), "valid_from": now}
        Memory.objects.create(tenant=tenant, **fact, written_by="x", is_untrusted=False)
    # Nothing goes, not even what would go before the document.
    for customer, refused in (("Ann Lee", r"The document a\.md"), ("Ben Lee", "A fact that names the customer")):
        with pytest.raises(CommandError, match=rf"{refused}.* cannot be deleted: .* on the customer weisse .*case 7"):
            call_command("erase_customer", "sample", customer, "--yes", stdout=StringIO())
    assert Artifact.objects.filter(pk=upload.pk).exists() and Memory.objects.count() == len(remembered)
    documents.delete(principal, other.pk)
    call_command("legal_hold", "sample", "--customer", "weiße", "--lift", "over", stdout=StringIO())
    documents.delete(principal, named.pk)
    assert not Document.objects.exists()


def test_the_tasks_that_a_held_task_runs_stay_with_it(principal: Principal, clock: Clock) -> None:
    held, part, of_part, follows = (ended_task(principal, "completed") for _ in range(4))
    Workflow.objects.filter(pk=part.pk).update(parent=held.pk, origin="child")
    Workflow.objects.filter(pk=of_part.pk).update(parent=part.pk, origin="child")
    # That of a schedule is none of its parts.
    Workflow.objects.filter(pk=follows.pk).update(parent=held.pk, origin="schedule")
    holds.place(held.tenant_id, cover=holds.Cover(held.pk), reason="case 7", actor="user:ada")
    clock.advance(91 * DAY_S)

    look()
    assert set(Workflow.objects.all()) == {held, part, of_part}


def test_a_task_that_is_being_deleted_cannot_be_held(principal: Principal) -> None:
    """Its steps are gone: a hold would say that it keeps what nobody has any more."""
    task = ended_task(principal, "completed")
    Stage.objects.filter(workflow=task).delete()

    with pytest.raises(CommandError, match="is being deleted"):
        call_command("legal_hold", "sample", "--task", str(task.pk), "--reason", "case 7")
    assert not LegalHold.objects.exists()


def test_a_hold_begins_before_or_after_a_batch_that_deletes(principal: Principal) -> None:
    task = ended_task(principal, "completed")
    holding = "SELECT pg_advisory_xact_lock{}(%s, %s)"

    with database.session() as other, database.waits_for_locks(within_s=0.05):
        with other.transaction():
            other.execute(holding.format("_shared"), holds.LOCK)
            with pytest.raises(OperationalError):
                holds.place(task.tenant_id, reason="case 7", actor="user:ada")
        with other.transaction():
            other.execute(holding.format(""), holds.LOCK)
            with pytest.raises(OperationalError):
                prune.forget(Workflow.objects.all(), limit=1)
            with pytest.raises(OperationalError), database.atomic():
                holds.refuse_held(task.tenant_id, what="A document")
    assert Workflow.objects.get() == task


def test_records_of_a_held_tenant_stay_and_names_of_requests_go(
    principal: Principal, other_tenant: Tenant, admin_user: User, clock: Clock
) -> None:
    tenant = Tenant.objects.get(slug="sample")
    mine, others = fill(tenant, admin_user), fill(other_tenant, admin_user)
    for rows in (mine, others):
        ModelCall.objects.filter(pk=rows[ModelCall].pk).update(workflow_id=None)
    WebhookEvent.objects.update(spread_at=clock.now())
    LegalHold.objects.all().delete()
    holds.place(tenant.pk, reason="case 7", actor="user:ada")
    clock.advance(800 * DAY_S)

    for _ in range(3):
        look()
    records = (MemoryChange, ModelCall, ScheduleRun, TenantDay, WebhookEvent)
    assert {
        model.__name__ for model in records if not model._default_manager.filter(pk=mine[model].pk).exists()
    } == set()
    assert {model.__name__ for model in records if model._default_manager.filter(pk=others[model].pk).exists()} == set()
    assert not IdempotencyKey.objects.exists()


def test_a_hold_that_is_placed_while_a_tenant_is_erased_keeps_what_is_left(principal: Principal) -> None:
    first, second = ended_task(principal, "completed"), ended_task(principal, "completed")
    tenant = Tenant.objects.get(slug="sample")
    record = erase.begin(tenant, actor="x")
    Workflow.objects.filter(pk=second.pk).update(finished_at=None)
    assert erase.batch(tenant, record) > 0
    Workflow.objects.filter(pk=second.pk).update(finished_at=database.now())
    holds.place(tenant.pk, cover=holds.Cover(second.pk), reason="case 7", actor="user:ada")

    with pytest.raises(IllegalMove, match="user:ada has placed a legal hold"):
        erase.batch(tenant, record)
    assert Workflow.objects.get() == second and not Workflow.objects.filter(pk=first.pk).exists()
    assert ApiKey.objects.filter(tenant=tenant).exists()
