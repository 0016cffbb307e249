"""What is over for long enough goes, a small batch at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.db.models import CompositePrimaryKey, QuerySet
from django_celery_results.models import TaskResult

from agentapp import conf
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import audit, audit_chain, database, erase, holds, retention
from agentapp.lifecycle import prune as forget
from agentapp.models import (
    BulkCancellation,
    BulkReplay,
    DrillReport,
    GateChange,
    IdempotencyKey,
    MemoryChange,
    ModelCall,
    PrunedTasks,
    QuarterSample,
    Reservation,
    Sample,
    ScheduleRun,
    TenantDay,
    WebhookEvent,
    Worker,
)

BATCH = 100
REST_S = 60.0
WORKER_KEPT = timedelta(days=1)
RECORD_KEPT = timedelta(days=365)
RESULT_KEPT = timedelta(days=7)
# Clients send a request again within minutes; after a day its name may stand for another one.
KEY_KEPT = timedelta(days=1)
WEBHOOK_KEPT = timedelta(days=30)
# A pause after wrong passwords takes minutes.
ATTEMPT_KEPT = timedelta(days=7)
# The operations page looks back for 7 days.
SAMPLE_KEPT = timedelta(days=8)
SCHEDULE_RUN_KEPT = timedelta(days=90)
# A file is stored before the document that it becomes.
UPLOAD_KEPT = timedelta(days=1)
RECORDS_BATCH = 1_000
# They say nothing for long: a name of a request may be given to another one, and a call is over.
PASSING = (IdempotencyKey, Reservation)


RECORDS = Sweep[QuerySet[Any]]("old records", key=lambda records: records.model.__name__)
SIGN_INS = Sweep[QuerySet[Any]]("sign-ins that are over", key=lambda rows: rows.model.__name__)
UPLOADS = Sweep[timedelta]("uploads that no document has", key=str)
STATES = Sweep[retention.Term]("tasks to be forgotten", key=lambda term: term.name)


@dataclass
class Rest:
    """When to look again, by the monotonic clock. A look that found nothing, or failed, is not repeated at once."""

    until: float = 0.0


_rest = Rest()


def prune(*, rest: Rest = _rest) -> int:
    """Forget one batch of each final state and old records of the machinery; return how much went.

    Called at every tick, it looks at most once a minute unless there is more to do.
    """
    if time.monotonic() < rest.until:
        return 0
    rest.until = time.monotonic() + REST_S
    uploads = UPLOADS.each([UPLOAD_KEPT], lambda kept: forget.uploads(older_than=kept, limit=BATCH))
    gone = _tasks() + _records() + uploads + _audit()
    if gone:
        rest.until = 0.0
    return gone


def _tasks() -> int:
    kept = retention.current_terms()
    return STATES.each([term for term in kept if term.days > 0], lambda term: retention.forget(term, limit=BATCH))


def _audit() -> int:
    days = conf.keep_audit_days()
    return audit_chain.forget(older_than_days=days, limit=RECORDS_BATCH) if days else 0


def _records() -> int:
    """Worker processes that are gone, reports and changes of gates that nobody reads any more, and results of Celery
    tasks that are no jobs. A batch of each."""
    moment = database.now()
    old: tuple[QuerySet[Any], ...] = (
        Worker.objects.filter(seen_at__lt=moment - WORKER_KEPT),
        BulkReplay.objects.filter(finished_at__lt=moment - RECORD_KEPT),
        BulkCancellation.objects.filter(finished_at__lt=moment - RECORD_KEPT),
        DrillReport.objects.filter(finished_at__lt=moment - RECORD_KEPT),
        GateChange.objects.filter(at__lt=moment - audit.CHANGES_KEPT),
        MemoryChange.objects.filter(at__lt=moment - RECORD_KEPT),
        IdempotencyKey.objects.filter(created_at__lt=moment - KEY_KEPT),
        WebhookEvent.objects.filter(spread_at__lt=moment - WEBHOOK_KEPT),
        QuarterSample.objects.filter(minute__lt=moment - SAMPLE_KEPT),
        Sample.objects.filter(minute__lt=moment - SAMPLE_KEPT),
        ScheduleRun.objects.filter(created_at__lt=moment - SCHEDULE_RUN_KEPT),
        ModelCall.objects.filter(workflow_id=None, started_at__lt=moment - RECORD_KEPT),
        TenantDay.objects.filter(day__lt=(moment - RECORD_KEPT).date()),
        PrunedTasks.objects.filter(day__lt=(moment - RECORD_KEPT).date()),
        Reservation.objects.filter(expires_at__lt=moment - WORKER_KEPT),
        TaskResult.objects.filter(date_done__lt=moment - RESULT_KEPT),
    )
    over = (
        Session.objects.filter(expire_date__lt=moment).order_by("expire_date"),
        AccessAttempt.objects.filter(attempt_time__lt=moment - ATTEMPT_KEPT).order_by("attempt_time"),
    )
    return RECORDS.each([_free(records) for records in old], _forget) + SIGN_INS.each(over, _end)


def _end(rows: QuerySet[Any]) -> int:
    """Nobody needs such a row any more, so none is locked before."""
    over = list(rows.values_list("pk", flat=True)[:RECORDS_BATCH])
    with database.atomic():
        return int(rows.model._default_manager.filter(pk__in=over).delete()[1].get(rows.model._meta.label, 0))


def _free(records: QuerySet[Any]) -> QuerySet[Any]:
    """Leave out what says something of a tenant of which everything is held."""
    path = None if records.model in PASSING else erase.ROWS.get(records.model)
    return records if path is None else records.exclude(**{f"{path}__in": holds.held_tenants()})


def _forget(records: QuerySet[Any]) -> int:
    with database.atomic():
        holds.wait_for_holds()
        # Of the tables that are joined to it nothing is locked. Where two columns are the key, Django cannot say so.
        of = () if isinstance(records.model._meta.pk, CompositePrimaryKey) else ("self",)
        free = records.order_by("pk").select_for_update(skip_locked=True, of=of)
        oldest = list(free.values_list("pk", flat=True)[:RECORDS_BATCH])
        return int(records.model._default_manager.filter(pk__in=oldest).delete()[0])
