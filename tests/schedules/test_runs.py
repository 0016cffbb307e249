"""What a schedule starts: each time one task, however many look after it and whatever happens in between."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from agentapp import registry
from agentapp.clock import Clock
from agentapp.dispatch import schedules as duty
from agentapp.dispatch.schedules import Scheduler
from agentapp.errors import Overloaded
from agentapp.lifecycle import gates
from agentapp.lifecycle import schedules as moves
from agentapp.models import (
    ApiKey,
    Gate,
    Membership,
    Schedule,
    ScheduleRun,
    Tenant,
    WebhookEndpoint,
    WebhookEvent,
    Workflow,
)
from agentapp.services import api_keys, principals, schedule_runs, schedules, workflows
from agentapp.services.principals import Principal
from agentapp.states import Origin
from tests.harness import drain

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
HOURLY = {"name": "hourly", "kind": "probe_fan", "input": {"parts": [1]}, "cron": "0 * * * *"}
SCHEDULER = Scheduler(schedule_runs.start_due)


def make(principal: Principal, **given: Any) -> Schedule:
    return schedules.create(principal, HOURLY | given)


def look(clock: Clock, *, after: timedelta = timedelta()) -> int:
    """Let the dispatcher look at the schedules, a while later."""
    clock.advance(after.total_seconds())
    return SCHEDULER.start_due()


def outcomes(schedule: Schedule) -> list[tuple[str, str]]:
    """What came of each time, as minutes after noon, oldest first."""
    runs = ScheduleRun.objects.filter(schedule=schedule).order_by("due_at")
    return [(f"{run.due_at:%H:%M}", run.outcome) for run in runs]


def test_a_task_starts_at_its_time_for_the_key_that_made_the_schedule(principal: Principal, clock: Clock) -> None:
    schedule = make(principal, labels={"from": "clock"}, priority="low", deadline_s=60.0)

    assert look(clock) == 0
    assert look(clock, after=HOUR) == 1
    assert look(clock) == 0

    task = Workflow.objects.get()
    assert (task.kind, task.origin, task.parent) == ("probe_fan", Origin.SCHEDULE, schedule.pk)
    assert (task.api_key, task.tenant_id, task.labels) == (principal.api_key, schedule.tenant_id, {"from": "clock"})
    assert task.deadline_at is not None
    assert outcomes(schedule) == [("13:00", "started")]
    drain(task)
    assert workflows.get(principal, task.pk).state == "completed"


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("skip", [("13:00", "skipped")]),
        ("once", [("13:00", "skipped"), ("16:00", "started")]),
        ("all", [("13:00", "started"), ("14:00", "started"), ("15:00", "started"), ("16:00", "started")]),
    ],
)
def test_times_at_which_nobody_looked(
    principal: Principal, clock: Clock, catch_up: str, expected: list[tuple[str, str]]
) -> None:
    schedule = make(principal, catch_up=catch_up, overlap="allow")

    look(clock, after=4 * HOUR + timedelta(minutes=30))

    assert outcomes(schedule) == expected
    assert Workflow.objects.count() == sum(outcome == "started" for _, outcome in expected)
    assert look(clock, after=timedelta(minutes=30)) == 1


def test_a_time_is_skipped_while_the_task_before_is_not_over(principal: Principal, clock: Clock) -> None:
    schedule, eager = make(principal), make(principal, name="eager", overlap="allow")

    assert look(clock, after=HOUR) == 2
    assert look(clock, after=HOUR) == 1
    assert outcomes(schedule) == [("13:00", "started"), ("14:00", "skipped")]
    assert outcomes(eager) == [("13:00", "started"), ("14:00", "started")]
    assert "not over" in ScheduleRun.objects.get(schedule=schedule, outcome="skipped").reason

    drain()
    assert look(clock, after=HOUR) == 2


def test_an_interval_keeps_its_pace_however_late_it_is_looked_at(principal: Principal, clock: Clock) -> None:
    schedule = make(principal, cron="", every_s=600, overlap="allow")

    look(clock, after=timedelta(seconds=637))

    schedule.refresh_from_db()
    assert f"{schedule.next_at:%H:%M:%S}" == "12:20:00"


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("later", [timedelta(), 3 * HOUR])
def test_a_dispatcher_that_dies_after_it_has_started_a_task_starts_it_once(
    principal: Principal, clock: Clock, monkeypatch: pytest.MonkeyPatch, later: timedelta
) -> None:
    schedule = make(principal, overlap="allow")
    with monkeypatch.context() as patched:
        patched.setattr(moves, "record", lambda run: (_ for _ in ()).throw(Died()))
        with pytest.raises(Died):
            look(clock, after=HOUR)
    assert outcomes(schedule) == []

    look(clock, after=later)

    assert outcomes(schedule)[0] == ("13:00", "started")
    assert Workflow.objects.filter(parent=schedule.pk, pk=moves.run_id(schedule, clock.now() - later)).exists()
    assert Workflow.objects.count() == (2 if later else 1)


@pytest.mark.parametrize("n", range(3))
@pytest.mark.django_db(transaction=True)
def test_two_dispatchers_start_each_time_once(principal: Principal, clock: Clock, n: int) -> None:
    made = [make(principal, name=f"{n}", overlap="allow", catch_up="all") for n in range(5)]
    clock.advance(4 * HOUR.total_seconds())
    barrier = threading.Barrier(4)

    def lead() -> None:
        barrier.wait()
        for schedule in moves.due(limit=10):
            schedule_runs.start_due(schedule)
        connection.close()

    threads = [threading.Thread(target=lead) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    SCHEDULER.start_due()
    assert Workflow.objects.count() == 20
    assert {tuple(outcomes(schedule)) for schedule in made} == {
        tuple((f"{hour}:00", "started") for hour in (13, 14, 15, 16))
    }


def test_a_leader_that_was_away_does_not_start_what_is_done_or_paused(principal: Principal, clock: Clock) -> None:
    schedule = make(principal)
    clock.advance(HOUR.total_seconds())
    seen_long_ago = moves.due(limit=10)
    schedules.change(principal, schedule.pk, {"is_paused": True})

    assert [schedule_runs.start_due(each) for each in seen_long_ago] == [0]
    assert not Workflow.objects.exists()


def test_a_clock_that_goes_back_starts_nothing_again(principal: Principal, clock: Clock) -> None:
    make(principal)
    assert look(clock, after=HOUR) == 1
    drain()

    assert look(clock, after=-2 * HOUR) == 0
    assert look(clock, after=2 * HOUR) == 0
    assert look(clock, after=HOUR) == 1


def revoked(schedule: Schedule) -> str:
    assert schedule.api_key is not None
    api_keys.revoke(schedule.api_key)
    return "revoked"


def without_scope(schedule: Schedule) -> str:
    ApiKey.objects.update(scopes=["schedules:write"])
    return "tasks:write"


@pytest.mark.parametrize("lose", [revoked, without_scope])
def test_a_schedule_whose_key_may_no_longer_submit_is_paused_and_says_why(
    principal: Principal, clock: Clock, lose: Any
) -> None:
    schedule = make(principal)
    words = lose(schedule)

    assert look(clock, after=HOUR) == 0

    schedule.refresh_from_db()
    assert schedule.is_paused and words in schedule.paused_reason
    assert schedule.next_at is None and not Workflow.objects.exists()


def test_a_schedule_of_a_person_who_is_no_longer_a_member_is_paused(
    tenant: Tenant, clock: Clock, django_user_model: type[User]
) -> None:
    person = django_user_model.objects.create_superuser("anna", password="a long password for tests")
    schedule = schedules.create(principals.of_user(person), HOURLY, tenant_id=tenant.pk)
    person.is_superuser = False
    person.save()
    Membership.objects.filter(user=person).delete()

    assert look(clock, after=HOUR) == 0

    schedule.refresh_from_db()
    assert schedule.is_paused and schedule.paused_reason


def test_times_of_a_suspended_tenant_are_passed_over_and_then_it_goes_on(
    principal: Principal, tenant: Tenant, clock: Clock
) -> None:
    schedule = make(principal)
    Tenant.objects.update(suspended_at=clock.now())
    assert look(clock, after=HOUR) == 0
    Tenant.objects.update(suspended_at=None)

    assert look(clock, after=HOUR) == 1
    assert outcomes(schedule) == [("13:00", "skipped"), ("14:00", "started")]


def test_a_kind_that_no_longer_takes_the_input_is_said_and_the_next_time_is_tried(
    principal: Principal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = make(principal)
    flow = registry.latest_flow("probe_fan")
    assert flow is not None
    with monkeypatch.context() as patched:
        patched.delitem(registry.flows, (flow.kind, flow.version))
        assert look(clock, after=HOUR) == 0

    assert outcomes(schedule) == [("13:00", "failed")]
    assert "probe_fan" in ScheduleRun.objects.get().reason
    assert look(clock, after=HOUR) == 1


@pytest.mark.parametrize(
    ("later", "then"), [(timedelta(), [("13:00", "started")]), (HOUR, [("13:00", "skipped"), ("14:00", "started")])]
)
def test_a_task_that_is_refused_for_now_is_started_later(
    principal: Principal, clock: Clock, later: timedelta, then: list[tuple[str, str]]
) -> None:
    schedule = make(principal)
    gate = gates.keep(Gate(scope="tenant", pattern="*", max_waiting=0), actor="test")

    with pytest.raises(Overloaded):
        schedule_runs.start_due(moves_due_after(clock, HOUR))
    assert outcomes(schedule) == []
    gate.max_waiting = 5
    gates.keep(gate, actor="test")

    assert look(clock, after=later) == 1
    assert outcomes(schedule) == then
    skipped = ScheduleRun.objects.filter(outcome="skipped").values_list("reason", flat=True)
    assert all("too many tasks waited" in reason for reason in skipped)


def moves_due_after(clock: Clock, after: timedelta) -> Schedule:
    clock.advance(after.total_seconds())
    return moves.due(limit=1)[0]


def test_one_bad_schedule_does_not_stop_the_others(
    principal: Principal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = make(principal, name="bad"), make(principal, name="good")
    Schedule.objects.filter(pk=bad.pk).update(timezone="Gone/Zone")

    assert look(clock, after=HOUR) == 1

    assert outcomes(good) == [("13:00", "started")]
    assert duty.DUE.set_aside() == [bad.pk]
    duty.DUE.aside.clear()


def test_tasks_of_schedules_are_tasks_of_the_tenant(principal: Principal, tenant: Tenant, clock: Clock) -> None:
    WebhookEndpoint.objects.create(tenant=tenant, url="https://hook.test", salt=b"0" * 16)
    make(principal, kind="probe_decision", input={})
    look(clock, after=HOUR)
    drain()

    assert workflows.listing(principal).count() == 1
    assert WebhookEvent.objects.get().type == "approval.requested"
