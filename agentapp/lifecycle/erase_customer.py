"""All that is kept about one customer of a tenant goes, a small batch at a time; stopped, it goes on when it is run
again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from agentapp import models
from agentapp.errors import IllegalMove
from agentapp.lifecycle import audit, database, documents, erase, held, holds, memories, prune
from agentapp.lifecycle.customer import SET_UP, Customer
from agentapp.models import Artifact, Document, Erasure, Memory, SavedView, Workflow

Rows = QuerySet[Any]


def refuse_kept(customer: Customer, tasks: Collection[UUID]) -> None:
    """Raises IllegalMove where a hold keeps what would go: a document or a fact about another customer, too."""
    refuse_held(customer, tasks)
    with database.atomic():
        abouts = set(_facts(customer, tasks).order_by().values_list("about", flat=True))
        what = "A fact that names the customer, or was read from a task of theirs,"
        holds.refuse_held(customer.tenant.pk, what=what, customers=abouts, tells=True)
    documents_of = list(_texts(customer, tasks).order_by("pk"))
    for begin_at in range(0, len(documents_of), erase.TASKS_AT_ONCE):
        with database.atomic():
            holds.refuse_documents(documents_of[begin_at : begin_at + erase.TASKS_AT_ONCE], tells=True)


def refuse_held(customer: Customer, tasks: Collection[UUID]) -> None:
    """Raises IllegalMove where a hold keeps the tenant, the customer or one of these tasks."""
    with database.atomic():
        holds.refuse_held(
            customer.tenant.pk, what="What is kept about a customer", customers=[customer.about], tells=True
        )
        for task, keeping in sorted(held.tasks(tasks).items()):
            hold = models.LegalHold.objects.filter(pk__in=keeping).order_by("pk").first()
            # Unless somebody has released it just now.
            if hold is not None:
                raise holds.refusal(hold, what=f"The task {task}, which names the customer,", tells=True)


def refuse_waited_for(tasks: Collection[UUID]) -> None:
    """Raises IllegalMove where a task runs one of these as a part of itself and has not ended: it would run it anew."""
    parents = Workflow.objects.filter(pk__in=tasks, origin="child").values("parent")
    waiting = Workflow.objects.filter(pk__in=parents, finished_at=None).exclude(pk__in=tasks).order_by("pk").first()
    if waiting is not None:
        raise IllegalMove(
            f"The task {waiting.pk} ({waiting.kind}) runs a task about the customer as a part of itself. Wait until it "
            "has ended, or cancel it, and run the command again."
        )


def begin(customer: Customer, record: Erasure) -> None:
    """Delete the schedules that name them, which would start tasks, and what is remembered of them.

    What a task that has begun by now reads of them is not remembered again.
    """
    refuse = partial(refuse_held, customer, ())
    for model, chosen in _schedules(customer).items():
        while erase.forget_rows(customer.tenant, record, model, chosen, refuse=refuse):
            continue
    with database.atomic():
        found = Memory.objects.filter(pk__in=customer.named_in(Memory, "tenant").values("pk"))
        gone = memories.erase(found, actor=record.actor, customer=(customer.tenant.pk, customer.about), tells=True)
        erase.count(record, erase.name(Memory), gone)


def steps(customer: Customer, tasks: Collection[UUID], record: Erasure) -> Iterator[Callable[[], int]]:
    """What to call one after the other, each until it returns 0 rows: rows beside tasks first.

    Raises, when called:
        IllegalMove: a hold was placed meanwhile: what is left is kept.
        OSError: the store of artifacts does not answer. Rows and files that are left go at the next call.
    """
    forget = partial(erase.forget_rows, customer.tenant, record, refuse=partial(refuse_held, customer, tasks))
    yield partial(_forget_facts, customer, tasks, record)
    yield partial(_forget_documents, customer, tasks, record)
    yield partial(_forget_files, customer, tasks, record)
    for model, chosen in _rows(customer, tasks).items():
        yield partial(forget, model, chosen)
    yield partial(erase.forget_tasks, Workflow.objects.filter(pk__in=tasks), record)
    yield partial(forget, models.GateChange, _changes(customer))
    yield partial(forget, SavedView, _views(customer))
    yield partial(_blank_entries, customer, record)


def finish(record: Erasure) -> None:
    with database.atomic():
        Erasure.objects.filter(pk=record.pk).update(finished_at=database.moment())


def left(customer: Customer) -> dict[str, int]:
    """How many rows name the customer, by table, but for what people have set up."""
    beside: dict[type[Model], Rows] = {**_schedules(customer), **_rows(customer, ())}
    beside |= {Memory: _facts(customer, ()), Document: _texts(customer, ())}
    beside |= {Artifact: _uploads(customer), models.GateChange: _changes(customer), SavedView: _views(customer)}
    counts = {erase.name(model): chosen.count() for model, chosen in beside.items()}
    return {
        erase.name(Workflow): len(customer.tasks()),
        **counts,
        erase.name(models.AuditEntry): _entries(customer).count(),
    }


def set_up(customer: Customer) -> dict[str, int]:
    """How many rows that people have set up name the customer: they stay."""
    return {erase.name(model): customer.named_in(model, erase.ROWS[model]).count() for model in SET_UP}


def _schedules(customer: Customer) -> dict[type[Model], Rows]:
    named = customer.named_in(models.Schedule, "tenant")
    runs = models.ScheduleRun.objects.filter(schedule__tenant=customer.tenant)
    named_runs = customer.named_in(models.ScheduleRun, "schedule__tenant")
    chosen = runs.filter(Q(schedule__in=named.values("pk")) | Q(pk__in=named_runs.values("pk")))
    return {models.ScheduleRun: chosen, models.Schedule: named}


def _rows(customer: Customer, tasks: Collection[UUID]) -> dict[type[Model], Rows]:
    """What goes beside tasks, in this order: nothing refers to a row that is gone."""

    def of(model: type[Model], path: str) -> Rows:
        named = customer.named_in(model, erase.ROWS[model]).values("pk")
        mine = model._default_manager.filter(**{erase.ROWS[model]: customer.tenant})
        return mine.filter(Q(pk__in=named) | Q(**{f"{path}__in": tasks}))

    return {
        models.WebhookDelivery: of(models.WebhookDelivery, "event__workflow_id"),
        models.WebhookEvent: of(models.WebhookEvent, "workflow_id"),
        models.Effect: of(models.Effect, "workflow_id"),
        models.IdempotencyKey: of(models.IdempotencyKey, "workflow_id"),
        models.ModelCall: customer.named_in(models.ModelCall, "tenant").filter(workflow_id=None),
        models.BulkReplay: customer.named_in(models.BulkReplay, "tenant"),
        models.BulkCancellation: customer.named_in(models.BulkCancellation, "tenant"),
        models.MemoryChange: customer.named_in(models.MemoryChange, "tenant"),
        models.PrunedTasks: customer.named_in(models.PrunedTasks, "tenant"),
    }


def _facts(customer: Customer, tasks: Collection[UUID]) -> QuerySet[Memory]:
    named = customer.named_in(Memory, "tenant").values("pk")
    return Memory.objects.filter(Q(pk__in=named) | Q(tenant=customer.tenant, task_id__in=tasks))


def _forget_facts(customer: Customer, tasks: Collection[UUID], record: Erasure) -> int:
    """Those too that were read from one of these tasks."""
    found = _facts(customer, tasks)
    if not found.exists():
        return 0
    with database.atomic():
        gone = memories.erase(found, actor=record.actor, tells=True)
        erase.count(record, erase.name(Memory), gone)
    return gone


def _texts(customer: Customer, tasks: Collection[UUID]) -> QuerySet[Document]:
    chunks = customer.named_in(models.Chunk, "tenant").values("document")
    named = customer.named_in(Document, "tenant").values("pk")
    mine = Document.objects.filter(tenant=customer.tenant)
    # A file whose name names them goes with its document.
    files = _uploads(customer).values("pk")
    return mine.filter(Q(pk__in=named) | Q(pk__in=chunks) | Q(task_id__in=tasks) | Q(upload_id__in=files))


def _forget_documents(customer: Customer, tasks: Collection[UUID], record: Erasure) -> int:
    """Documents that name them, with their chunks and files."""
    found = list(_texts(customer, tasks).order_by("pk")[: erase.TASKS_AT_ONCE])
    if not found:
        return 0
    refuse_held(customer, tasks)
    with database.atomic():
        holds.refuse_documents(found, tells=True)
    uploads = [document.upload_id for document in found if document.upload_id]
    # The files first: a document that is gone leads to none.
    files = prune.forget_files(Artifact.objects.filter(pk__in=uploads, workflow=None))
    with database.atomic():
        chosen = Document.objects.filter(pk__in=[document.pk for document in found])
        chunks = models.Chunk.objects.filter(document__in=chosen).count()
        gone = len(documents.remove(chosen, tells=True))
        for model, rows in ((Artifact, files), (models.Chunk, chunks), (Document, gone)):
            erase.count(record, erase.name(model), rows)
    return gone


def _uploads(customer: Customer) -> QuerySet[Artifact]:
    return Artifact.objects.filter(pk__in=customer.named_in(Artifact, "tenant").values("pk"), workflow=None)


def _forget_files(customer: Customer, tasks: Collection[UUID], record: Erasure) -> int:
    refuse_held(customer, tasks)
    gone = prune.forget_files(_uploads(customer).order_by("pk")[: erase.TASKS_AT_ONCE])
    with database.atomic():
        erase.count(record, erase.name(Artifact), gone)
    return gone


def _changes(customer: Customer) -> Rows:
    """Changes of the tenant's settings that name them."""
    named = customer.named_anywhere(models.GateChange).values("pk")
    return erase.named(models.GateChange, customer.tenant).filter(pk__in=named)


def _views(customer: Customer) -> Rows:
    """Filters that people of the tenant have kept."""
    people = models.Membership.objects.filter(tenant=customer.tenant).values("user")
    return customer.named_anywhere(SavedView).filter(user__in=people)


def _entries(customer: Customer) -> QuerySet[models.AuditEntry]:
    named = customer.named_anywhere(models.AuditEntry).values("pk")
    return models.AuditEntry.objects.filter(pk__in=named, tenant_number=customer.tenant.pk, is_erased=False)


def _blank_entries(customer: Customer, record: Erasure) -> int:
    with database.atomic():
        blanked = audit.blank(_entries(customer), limit=erase.BATCH)
        erase.count(record, erase.name(models.AuditEntry), blanked)
    return blanked
