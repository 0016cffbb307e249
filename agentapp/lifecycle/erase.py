"""All that is kept of a tenant goes, a small batch at a time; an erase that is stopped goes on when it is run again.

Each table has a decision: its rows go with their task, by a path to the tenant, or stay for a reason. A test goes
through all tables, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet

from agentapp import models
from agentapp.lifecycle import audit, database, holds, prune, texts
from agentapp.models import Artifact, Effect, Erasure, Job, Tenant, Workflow
from agentapp.states import JobState

BATCH = 500
TASKS_AT_ONCE = 100
# A body that was cancelled learns of it at the next heartbeat, and may write a file until then.
BODIES_END_WITHIN = timedelta(seconds=30)

# What goes with its task, with the path to its tenant. In the database most have no constraint: see prune.STEPS.
WITH_TASK: dict[type[Model], str] = {
    models.Stage: "workflow__tenant", models.Job: "tenant", models.Attempt: "job__tenant",
    models.Approval: "tenant", models.ApprovalVote: "approval__tenant", models.History: "workflow__tenant",
    models.Message: "tenant", models.Reply: "tenant", models.SearchEntry: "workflow__tenant",
}  # fmt: skip
# What goes by itself, in this order: nothing refers to a row that is gone.
ROWS: dict[type[Model], str] = {
    models.WebhookDelivery: "tenant", models.WebhookEvent: "tenant", models.WebhookEndpoint: "tenant",
    models.ScheduleRun: "schedule__tenant", models.Schedule: "tenant",
    models.ServerTool: "server__tenant", models.ToolServer: "tenant",
    models.BulkReplay: "tenant", models.BulkCancellation: "tenant",
    models.Chunk: "tenant", models.Document: "tenant",
    models.Memory: "tenant", models.MemoryChange: "tenant",
    models.Effect: "tenant", models.ModelCall: "tenant",
    models.Reservation: "day__tenant", models.TenantDay: "tenant",
    models.IdempotencyKey: "tenant",
    models.ModelChoice: "tenant", models.ApprovalPolicy: "tenant",
    models.RetentionRule: "tenant", models.PrunedTasks: "tenant",
    models.Delegation: "tenant", models.ApiKey: "tenant",
    models.Membership: "tenant",  # with the accounts: see erase_people
}  # fmt: skip
# What it says goes, not the row: the chain of these rows must hold.
BLANKED = (models.AuditEntry,)
# A row that must not be there.
REFUSES = (models.LegalHold,)
# Named by a text: see `named`.
BY_NAME = (
    models.Limit, models.Gate, models.GateChange, models.Sample, models.QuarterSample, models.Total, models.SavedView,
)  # fmt: skip
STAYS: dict[type[Model], str] = {
    models.DatabaseRole: "of the platform",
    models.Erasure: "that a tenant was erased: its number, when, by whom, how many rows",
    models.Restore: "of the platform",
    models.Worker: "a process", models.DispatcherLease: "a process",
    models.SearchCursor: "of the platform", models.RequestCount: "of the platform",
    models.DrillReport: "of the platform", models.ModelCapability: "of a model",
}  # fmt: skip


def suspend(tenant: Tenant) -> None:
    """Let nothing of a tenant begin any more: no job, no request, no schedule; nobody is told of what ends."""
    with database.atomic():
        Tenant.objects.filter(pk=tenant.pk, suspended_at=None).update(suspended_at=database.moment())
        models.ApiKey.objects.filter(tenant=tenant, revoked_at=None).update(revoked_at=database.moment())
        models.Schedule.objects.filter(tenant=tenant).update(is_paused=True, next_at=None)
        models.WebhookEndpoint.objects.filter(tenant=tenant).update(is_enabled=False)


def refuse_held(tenant: Tenant) -> None:
    """Raises IllegalMove where a hold keeps the tenant, or anything of it. None is placed until the end
    of the transaction in which this is called."""
    holds.wait_for_holds()
    hold = models.LegalHold.objects.filter(tenant=tenant).order_by("pk").first()
    if hold is not None:
        raise holds.refusal(hold, what=f"The tenant {tenant.slug}", tells=True)


def open_tasks(tenant: Tenant) -> QuerySet[Workflow]:
    return Workflow.objects.filter(tenant=tenant, finished_at=None).order_by("pk")


def effects(tenant: Tenant) -> QuerySet[Effect]:
    return Effect.objects.filter(tenant=tenant)


def may_still_write(jobs: QuerySet[Job]) -> int:
    """How many bodies of these jobs may still be running: those that were cancelled a moment ago count."""
    just_now = database.now() - BODIES_END_WITHIN
    begun = jobs.filter(started_at__isnull=False)
    return begun.filter(Q(state=JobState.RUNNING) | Q(state=JobState.CANCELLED, finished_at__gt=just_now)).count()


def begin(tenant: Tenant, *, actor: str, about_hash: str = "") -> Erasure:
    """The record of this erase, or of the one that was stopped."""
    with database.atomic():
        record, _ = Erasure.objects.get_or_create(
            tenant_number=tenant.pk, about_hash=about_hash, finished_at=None,
            defaults={"actor": actor, "began_at": database.now()},
        )  # fmt: skip
    return record


def batch(tenant: Tenant, record: Erasure) -> int:
    """Delete one batch of the first table that has any; return how many rows went, 0 when only the people are left.

    Raises:
        IllegalMove: a hold was placed meanwhile: what is left is kept.
        OSError: the store of artifacts does not answer. Rows and files that are left go at the next call.
    """
    refuse_held(tenant)
    gone = forget_tasks(Workflow.objects.filter(tenant=tenant), record) or _uploads(tenant, record)
    forget = partial(forget_rows, tenant, record, refuse=partial(refuse_held, tenant))
    for model, path in ROWS.items():
        if model is not models.Membership:
            gone = gone or forget(model, model._default_manager.filter(**{path: tenant}))
    # Left behind by a release that did not delete them with their task.
    for model, path in WITH_TASK.items():
        gone = gone or forget(model, model._default_manager.filter(**{path: tenant}))
    for model in BY_NAME:
        gone = gone or forget(model, named(model, tenant))
    return gone or _entries(tenant, record)


def left(tenant: Tenant) -> dict[str, int]:
    """How many rows there are of a tenant, by table."""
    paths: dict[type[Model], str] = {Workflow: "tenant", Artifact: "tenant", **WITH_TASK, **ROWS}
    counts = {name(model): model._default_manager.filter(**{path: tenant}).count() for model, path in paths.items()}
    counts |= {name(models.AuditEntry): _entries_about(tenant).filter(is_erased=False).count()}
    return counts | {name(model): named(model, tenant).count() for model in BY_NAME}


def finish(tenant: Tenant, record: Erasure) -> None:
    """Delete the tenant itself, of which nothing is left.

    Raises:
        django.db.IntegrityError: something has been added meanwhile.
    """
    with database.atomic():
        _forget_log(Tenant, [tenant.pk])
        Tenant.objects.filter(pk=tenant.pk).delete()
        count(record, "Tenant", 1)
        Erasure.objects.filter(pk=record.pk).update(finished_at=database.moment())


def name(model: type[Model]) -> str:
    return model._meta.object_name or ""


def forget_tasks(tasks: QuerySet[Workflow], record: Erasure) -> int:
    """Forget some of these tasks, which are over; return how many rows went. Those that a hold keeps stay."""
    tasks = tasks.filter(finished_at__isnull=False)
    chosen = list(tasks.order_by("finished_at").values_list("pk", flat=True)[:TASKS_AT_ONCE])
    if not chosen:
        return 0
    tables: dict[type[Model], str] = {**texts.OF_TASK, models.SearchEntry: "workflow_id"}
    counted = {model: f"{path}__in" for model, path in tables.items()}

    def there() -> dict[type[Model], int]:
        return {model: model._default_manager.filter(**{path: chosen}).count() for model, path in counted.items()}

    before = there()
    try:
        prune.forget(tasks.filter(pk__in=chosen).order_by("finished_at"), limit=TASKS_AT_ONCE)
    finally:
        after = there()
        went = {model: before[model] - after[model] for model in counted}
        with database.atomic():
            for model, rows in went.items():
                count(record, name(model), rows)
    return sum(went.values())


def _uploads(tenant: Tenant, record: Erasure) -> int:
    gone = prune.forget_files(Artifact.objects.filter(tenant=tenant, workflow=None).order_by("pk")[:TASKS_AT_ONCE])
    with database.atomic():
        count(record, name(Artifact), gone)
    return gone


def forget_rows(
    tenant: Tenant, record: Erasure, model: type[Model], rows: QuerySet[Any], *, refuse: Callable[[], None]
) -> int:
    """Delete a batch of these rows, with what the admin and the audit say of them; return how many went. `refuse`
    raises IllegalMove where a hold keeps them."""
    with database.atomic():
        refuse()
        chosen = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not chosen:
            return 0
        if model is models.ApiKey:
            # The key that took a key's place may go before it.
            model._default_manager.filter(replaced_by__in=chosen).update(replaced_by=None)
        gone = delete(model, chosen).get(model._meta.label, 0)
        count(record, name(model), gone)
    return gone


def delete(model: type[Model], keys: Collection[Any]) -> dict[str, int]:
    """Delete rows with what the admin and the audit say of them; return how many went of each table, by its label."""
    with database.atomic():
        _forget_log(model, keys)
        audit.blank_records(model, keys)
        return model._default_manager.filter(pk__in=keys).delete()[1]


def _entries(tenant: Tenant, record: Erasure) -> int:
    with database.atomic():
        refuse_held(tenant)
        blanked = audit.blank(_entries_about(tenant), limit=BATCH)
        count(record, "AuditEntry", blanked)
    return blanked


def _entries_about(tenant: Tenant) -> QuerySet[models.AuditEntry]:
    """Of decisions about its tasks, and of changes that name it: the records of these may have gone by their age."""
    return models.AuditEntry.objects.filter(Q(tenant_number=tenant.pk) | Q(source="change") & _in_target(tenant))


def _in_target(tenant: Tenant) -> Q:
    """Changes whose `target` names a tenant: what gates, keys, people, models, servers of tools and their tools are
    called in the audit."""
    keys = [f"{kind}:{tenant.pk}" for kind in ("tenant", "budget")]
    gates = [f"gate {scope} {tenant.slug}" for scope in ("tenant", "budget")]
    begins = [*(f"{gate} of tier " for gate in gates), f"model choice of {tenant.slug}, "]
    begins += [f"tool server {tenant.slug}/", f"tool {tenant.slug}/"]
    named = Q(target__in=[*keys, *gates]) | Q(target__endswith=f" in {tenant.slug}")
    for words in begins:
        named |= Q(target__startswith=words)
    return named


def named(model: type[Model], tenant: Tenant) -> QuerySet[Any]:
    """The rows that name a tenant in a text: limits, gates of its own, their audit and their measurements, and the
    filters of people who look at several tenants."""
    rows, keys = model._default_manager.all(), [f"tenant:{tenant.pk}", f"budget:{tenant.pk}"]
    if model is models.SavedView:
        return rows.filter(query__regex=rf"(^|&)tenant={re.escape(tenant.slug)}(&|$)")
    if model is models.Gate:
        return rows.filter(scope__in=("tenant", "budget"), pattern=tenant.slug)
    if model is models.GateChange:
        return rows.filter(Q(before__tenant=tenant.slug) | Q(after__tenant=tenant.slug) | _in_target(tenant))
    return rows.filter(key__in=keys)


def _forget_log(model: type[Model], keys: Collection[Any]) -> None:
    """What Django's admin has noted of these rows names them."""
    kind = ContentType.objects.get_for_model(model)
    with database.atomic():
        LogEntry.objects.filter(content_type=kind, object_id__in=[str(key) for key in keys]).delete()


def count(record: Erasure, what: str, rows: int) -> None:
    """Add to what went, in the transaction that deletes it."""
    if not rows:
        return
    with database.atomic():
        locked = Erasure.objects.select_for_update().get(pk=record.pk)
        removed = {**locked.removed, what: locked.removed.get(what, 0) + rows}
        Erasure.objects.filter(pk=record.pk).update(removed=removed)
