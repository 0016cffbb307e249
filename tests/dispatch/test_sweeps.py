"""One bad row, or one that is locked, keeps no other waiting: in each sweep of the dispatcher."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection, models
from django.db.models import F
from django.db.models.functions import Now

from agentapp.dispatch import bulk, cleaner, pruner, rescuer, stager, sweep, timekeeper
from agentapp.dispatch.duty import Duty
from agentapp.lifecycle.ask_person import ask_person
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, BulkReplay, GateChange, Job, Worker, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import BulkReplayState
from tests.dispatch.message_reader import MessageReader
from tests.lifecycle.walked_kinds import QUESTION

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

PROCESS = 4711
Step = Callable[[], int]


@pytest.fixture(autouse=True)
def nothing_is_aside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What raised is set aside for longer than a test takes."""
    monkeypatch.setattr(sweep, "BAD_FIRST_S", 3_600.0)
    monkeypatch.setattr(sweep, "BAD_LONGEST_S", 3_600.0)
    yield
    for one in sweep.SWEEPS:
        one.aside.clear()


@pytest.fixture
def two(principal: Principal, message_reader: MessageReader) -> list[Job]:
    """Two jobs of two tasks, the older one first."""
    found = [workflows.submit(principal, kind="probe_loop", input={}) for _ in range(2)]
    return [Job.objects.get(workflow=workflow) for workflow in found]


def do(*steps: Step) -> int:
    """One round of a duty, in this thread."""
    return Duty("test", steps, lambda: 60.0).round(lambda: True)


def past(seconds: float = 60) -> Any:
    return Now() - timedelta(seconds=seconds)


def retry_is_due(jobs: list[Job]) -> Step:
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(state="retryable", scheduled_at=past())
    return stager.make_due


def taken(job: Job) -> Claimed:
    found = claim(str(job.pk), worker="model@here:1", queues=["model"], lease_s=15, process=PROCESS)
    assert isinstance(found, Claimed)
    return found


def lease_is_over(jobs: list[Job]) -> Step:
    for job in jobs:
        taken(job)
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(lease_expires_at=past())
    return rescuer.Watch(believes_at_once=True).rescue_expired


def deadline_is_over(jobs: list[Job]) -> Step:
    Workflow.objects.filter(pk__in=[job.workflow_id for job in jobs]).update(deadline_at=past())
    return timekeeper.expire_overdue


def message_is_lost(jobs: list[Job]) -> Step:
    redis.Redis.from_url(_redis_url()).flushdb()
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(published_at=past(), available_at=past())
    return rescuer.publish_again


def clean_up_is_due(jobs: list[Job]) -> Step:
    ids = [job.pk for job in jobs]
    Job.objects.filter(pk__in=ids).update(state="cancelled", clean_up_at=past(), finished_at=past())
    return cleaner.clean_up_left_over


def worker_is_silent(jobs: list[Job]) -> Step:
    """One process holds both, was not seen for long, and has let go of its lock."""
    for job in jobs:
        taken(job)
    Worker.objects.create(id=PROCESS, name="model@here:1", pool="threads", started_at=past(), seen_at=past())
    return rescuer.Watch(believes_at_once=True).rescue_silent


def time_has_come(jobs: list[Job]) -> Step:
    """As a task is stored that is not to begin before a moment."""
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(state="pending", available_at=None, published_at=None)
    tasks = Workflow.objects.filter(pk__in=[job.workflow_id for job in jobs])
    tasks.update(state="scheduled", position=0, parts_left=0, run_at=past())
    return stager.begin_scheduled


def reminder_is_due(jobs: list[Job]) -> Step:
    for job in jobs:
        ask_person(taken(job), QUESTION, worker="model@here:1")
    Approval.objects.update(remind_at=past())
    return timekeeper.remind


def overtaken_for_long(jobs: list[Job]) -> Step:
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(priority=2, published_at=past(3_600))
    return stager.promote


def need_not_wait(jobs: list[Job]) -> Step:
    """Parked until a moment that a gate named which is gone."""
    ids = [job.pk for job in jobs]
    Job.objects.filter(pk__in=ids).update(state="scheduled", scheduled_at=past(-3_600), blocked_by=[])
    return lambda: stager.Waker().wake()


def _redis_url() -> str:
    return str(settings.BROKER_URL)


CASES = [
    retry_is_due, lease_is_over, deadline_is_over, message_is_lost, clean_up_is_due, worker_is_silent, time_has_come,
    reminder_is_due,
]  # fmt: skip
# One statement for all, in which a row that is locked is passed over; one that is bad fails it as a whole.
SET_CASES = [overtaken_for_long, need_not_wait]


@contextmanager
def locked(job: Job) -> Iterator[None]:
    """Somebody looks at a task and its job in a session of their own, and leaves it open."""
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM agentapp_workflow WHERE id = %s FOR UPDATE", [job.workflow_id])
        other.execute("SELECT 1 FROM agentapp_job WHERE id = %s FOR UPDATE", [job.pk])
        yield


@contextmanager
def broken(job: Job) -> Iterator[None]:
    """Nothing can be written to this job nor to its task: what nobody has foreseen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION public.break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'nobody has foreseen this' USING ERRCODE = 'XX001'; END $$"
        )
        for table, row in (("agentapp_job", job.pk), ("agentapp_workflow", job.workflow_id)):
            cursor.execute(
                f"CREATE TRIGGER broken BEFORE UPDATE ON {table} FOR EACH ROW"
                f" WHEN (OLD.id = '{row}') EXECUTE FUNCTION public.break_it()"
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION public.break_it() CASCADE")


@pytest.mark.parametrize("case", CASES + SET_CASES, ids=lambda case: case.__name__)
def test_a_locked_row_keeps_no_other_waiting(case: Callable[[list[Job]], Step], two: list[Job]) -> None:
    first, _ = two
    step = case(two)
    with locked(first):
        assert do(step) == 1
        assert sweep.bad_items() == {}

    over_s = time.monotonic() + 120
    while do(step) == 0:
        assert time.monotonic() < over_s, "the row that was locked is moved when it is free"
        time.sleep(0.05)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_bad_row_is_set_aside_and_reported(case: Callable[[list[Job]], Step], two: list[Job]) -> None:
    first, _ = two
    step = case(two)
    with broken(first):
        assert do(step) == 1
        ((name, found),) = sweep.bad_items().items()
        assert (found["count"], found["tries"]) == (1, 1)
        assert "nobody has foreseen this" in found["error"]
        # Not again at the next tick.
        assert do(step) == 0
        assert sweep.bad_items()[name]["tries"] == 1

    for one in sweep.SWEEPS:
        for item in one.aside.values():
            item.until_s = 0
    assert do(step) == 1
    assert sweep.bad_items() == {}


@pytest.mark.parametrize("case", SET_CASES, ids=lambda case: case.__name__)
def test_a_statement_for_all_that_fails_keeps_no_other_step_waiting_and_is_told(
    case: Callable[[list[Job]], Step], two: list[Job]
) -> None:
    first, second = two
    duty = Duty("test", (case([first]), retry_is_due([second])), lambda: 60.0)
    with broken(first):
        assert duty.round(lambda: True) == 1
        assert "nobody has foreseen this" in duty.report()["error"]
    assert duty.round(lambda: True)
    assert "error" not in duty.report()


def test_many_locked_rows_cost_one_wait(principal: Principal, message_reader: MessageReader) -> None:
    """Each would cost a lock timeout, and the free one behind them would wait for all."""
    found = [workflows.submit(principal, kind="probe_loop", input={}) for _ in range(40)]
    jobs = list(Job.objects.filter(workflow__in=found).order_by("id"))
    step = retry_is_due(jobs)
    Job.objects.filter(pk=jobs[-1].pk).update(scheduled_at=F("scheduled_at") + timedelta(seconds=1))
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(
            "SELECT 1 FROM agentapp_workflow WHERE id = ANY(%s) FOR UPDATE", [[job.workflow_id for job in jobs[:-1]]]
        )
        tries = stager.DUE
        assert do(step) == 1
        assert {item.tries for item in tries.aside.values()} == {1}
        assert len(tries.aside) == len(jobs) - 1


def test_bad_rows_do_not_fill_the_look(two: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two
    step = retry_is_due(two)
    monkeypatch.setattr(stager, "BATCH", 1)
    Job.objects.filter(pk=first.pk).update(scheduled_at=past(120))
    with broken(first):
        assert do(step) == 0
        assert do(step) == 1
    second.refresh_from_db()
    assert second.state == "available"


def test_a_sweep_ends_when_its_process_leads_no_longer(two: list[Job]) -> None:
    step = retry_is_due(two)
    answers = iter([True, False])

    assert Duty("test", (step,), lambda: 60.0).round(lambda: next(answers, False)) == 1


@contextmanager
def locked_row(row: models.Model) -> Iterator[None]:
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(f"SELECT 1 FROM {row._meta.db_table} WHERE id = %s FOR UPDATE", [row.pk])
        yield


def test_a_bulk_replay_that_somebody_holds_keeps_no_other_waiting(two: list[Job]) -> None:
    rows = [
        BulkReplay.objects.create(
            selection={}, replayed=replayed, canary=1, batch=10, actor="test", created_at=past(0), waiting=[]
        )
        for replayed in ([str(two[0].pk)], [])
    ]
    Job.objects.filter(pk=two[0].pk).update(state="completed", finished_at=Now())

    with locked_row(rows[0]):
        do(bulk.go_on)

        assert BulkReplay.objects.get(pk=rows[1].pk).state == BulkReplayState.DONE
        assert sweep.bad_items() == {}


def test_an_old_record_that_somebody_holds_keeps_no_other_from_going(db: None) -> None:
    rows = [
        GateChange.objects.create(at=past(2 * 365 * 24 * 3_600), actor="test", action="paused", target="global")
        for _ in range(2)
    ]

    with locked_row(rows[0]):
        assert do(lambda: pruner.prune(rest=pruner.Rest())) == 1
    assert list(GateChange.objects.values_list("pk", flat=True)) == [rows[0].pk]


def test_a_bulk_replay_that_cannot_be_read_keeps_no_other_waiting(two: list[Job]) -> None:
    rows = [
        BulkReplay.objects.create(selection={}, waiting=waiting, canary=1, batch=10, actor="test", created_at=past(0))
        for waiting in (["no id"], [])
    ]

    do(bulk.go_on)

    rows[1].refresh_from_db()
    assert rows[1].state == BulkReplayState.DONE
    assert sweep.bad_items()["bulk replays"]["item"] == str(rows[0].pk)
