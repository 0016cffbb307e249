"""The times of schedules: each is started or left out once, however many dispatchers look after them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import IntegrityError
from django.db.models import QuerySet
from django.db.models.functions import Now

from agentapp import failpoints, ids
from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.models import Schedule, ScheduleRun, Workflow
from agentapp.states import ScheduleRunOutcome

# Which of the last runs may still be open: a person can have started one by hand beside the clock.
LOOKED_BACK = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _waiting(moment: datetime | Now) -> QuerySet[Schedule]:
    return Schedule.objects.filter(is_paused=False, next_at__lte=moment).order_by("next_at")


LOOK = Look(_waiting)


def due(*, limit: int, but_not: Sequence[UUID | str] = ()) -> list[Schedule]:
    """Return schedules that are due, the earliest first."""
    if not LOOK.finds_any():
        return []
    waiting = _waiting(database.moment()).exclude(pk__in=but_not)
    return list(waiting.select_related("tenant", "api_key__tenant", "user")[:limit])


def run_id(schedule: Schedule, due_at: datetime) -> UUID:
    """Return the id of the task of one time of a schedule: two who start it at once make one."""
    return ids.derived((due_at - EPOCH) // timedelta(milliseconds=1), schedule.pk.bytes, due_at.isoformat().encode())


def is_started(id: UUID) -> bool:
    return Workflow.objects.filter(pk=id).exists()


def is_running(schedule: Schedule) -> bool:
    """Whether a task that it has started is not over yet."""
    started = ScheduleRun.objects.filter(schedule=schedule, outcome=ScheduleRunOutcome.STARTED)
    latest = list(started.order_by("-id").values_list("pk", flat=True)[:LOOKED_BACK])
    return Workflow.objects.filter(pk__in=latest, finished_at=None).exists()


def record(run: ScheduleRun) -> None:
    """Write down what came of one time; what is there already stays. Of a schedule that is gone nothing is kept."""
    failpoints.hit("schedule.started", run.schedule.kind)
    with suppress(IntegrityError), database.atomic():
        ScheduleRun.objects.bulk_create([run], ignore_conflicts=True)


def move_on(schedule: Schedule, next_at: datetime | None) -> bool:
    """Say when to look again, if it still is what it was when it was read. False when somebody was faster."""
    rows = Schedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at, is_paused=False)
    return rows.update(next_at=next_at) > 0


def pause(schedule: Schedule, *, reason: str) -> bool:
    """Stop a schedule that runs. False when it is paused already."""
    rows = Schedule.objects.filter(pk=schedule.pk, is_paused=False)
    return rows.update(is_paused=True, paused_reason=reason[:300], next_at=None, updated_at=database.moment()) > 0
