"""Several who change, delete or start one schedule at once."""

from __future__ import annotations

import pytest

from agentapp import failpoints
from agentapp.clock import Clock
from agentapp.errors import NotFound
from agentapp.lifecycle import schedules as moves
from agentapp.models import Schedule, ScheduleRun, Workflow
from agentapp.services import schedule_runs, schedules
from agentapp.services.principals import Principal
from tests.lifecycle.held_row import held

pytestmark = pytest.mark.django_db(transaction=True)

HOURLY = {"name": "hourly", "kind": "probe_fan", "input": {"parts": [1]}, "cron": "0 * * * *"}


def test_of_two_changes_at_once_none_is_undone_by_the_other(principal: Principal, clock: Clock) -> None:
    schedule = schedules.create(principal, HOURLY)

    with held("agentapp_schedule", schedule.pk) as line:
        line.join(lambda: schedules.change(principal, schedule.pk, {"is_paused": True}))
        line.join(lambda: schedules.change(principal, schedule.pk, {"labels": {"team": "night"}}))
        line.release()

    schedule.refresh_from_db()
    assert (schedule.is_paused, schedule.next_at, schedule.labels) == (True, None, {"team": "night"})


def test_a_change_does_not_bring_a_deleted_schedule_back(principal: Principal, clock: Clock) -> None:
    schedule = schedules.create(principal, HOURLY)

    with held("agentapp_schedule", schedule.pk) as line, pytest.raises(NotFound):
        line.join(lambda: schedules.delete(principal, schedule.pk))
        line.join(lambda: schedules.change(principal, schedule.pk, {"is_paused": True}))
        line.release()

    assert not Schedule.objects.exists()


def test_a_schedule_that_is_deleted_while_its_task_starts_is_no_failure(
    principal: Principal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules.create(principal, HOURLY)
    clock.advance(3600)
    (due,) = moves.due(limit=1)

    def between_the_task_and_its_record(point: str, on: str) -> None:
        if point == "schedule.started":
            schedules.delete(principal, due.pk)

    monkeypatch.setattr(failpoints, "hit", between_the_task_and_its_record)

    assert schedule_runs.start_due(due) == 1

    assert Workflow.objects.count() == 1
    assert not ScheduleRun.objects.exists()
