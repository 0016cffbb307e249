"""What people use of Celery holds for jobs in threads: inspect, revoke, events, warm stop; and rubbish harms none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app
from django.db import connection

from agentapp.dispatch import publisher
from agentapp.lifecycle import function_set, republish
from agentapp.models import Attempt, Job, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.agents import held as held  # registers the kinds
from tests.agents import record
from tests.dispatch.message_reader import MessageReader
from tests.runtime.worker_process import EXIT_S, SLOTS, Worker, running_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

Event = dict[str, Any]
control: Any = current_app.control
# It answers at once, unless the machine is busy.
ANSWER_S = 60


@pytest.fixture
def worker(process_env: dict[str, str], broker: redis.Redis, tmp_path: Path) -> Iterator[Worker]:
    with running_worker(process_env | {"AGENTAPP_LEASE_S": "60"}, log=tmp_path / "worker.log", more=("-E",)) as worker:
        yield worker


def submit(principal: Principal, *, gate: str = "", jobs: int = 1) -> Workflow:
    return workflows.submit(principal, kind="held_threads", input={"gate": gate, "jobs": list(range(jobs))})


def completed(task: Workflow) -> bool:
    task.refresh_from_db()
    return task.state == "completed"


def asked(worker: Worker, question: str, *arguments: str) -> Any:
    """The answer of this worker to `celery inspect QUESTION`."""
    answers = getattr(control.inspect(destination=[worker.name], timeout=ANSWER_S), question)(*arguments)
    return answers[worker.name]


@contextmanager
def heard() -> Iterator[list[Event]]:
    """All task events that workers send meanwhile."""
    found: list[Event] = []
    stop, ready = threading.Event(), threading.Event()

    def listen() -> None:
        with current_app.connection_for_read() as link:
            receiver: Any = current_app.events.Receiver(link, handlers={"*": found.append})
            with receiver.consumer_context(wakeup=False) as (own, _, _):
                ready.set()
                while not stop.is_set():
                    try:
                        own.drain_events(timeout=0.2)
                    except TimeoutError:
                        continue

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def test_inspect_tells_what_runs_and_what_ran(worker: Worker, principal: Principal, broker: redis.Redis) -> None:
    task = submit(principal, gate="here")
    job = Job.objects.get(workflow=task)
    until(lambda: Job.objects.get().state == "running", "it runs")

    (active,) = asked(worker, "active")
    assert (active["name"], active["args"]) == ("hold_a_thread", [str(job.pk)])
    assert active["acknowledged"] and active["time_start"] and active["worker_pid"]
    assert asked(worker, "reserved") == []
    assert asked(worker, "query_task", active["id"])[active["id"]][0] == "active"

    record.let_go(broker, "here", count=1)
    until(lambda: completed(task), "it is completed")
    until(lambda: asked(worker, "active") == [], "its slot is free")
    assert asked(worker, "stats")["total"] == {"hold_a_thread": 1}


def test_a_revoked_message_is_dropped_and_its_job_published_again(
    worker: Worker, principal: Principal, broker: redis.Redis, message_reader: MessageReader
) -> None:
    blocker = submit(principal, gate="full", jobs=SLOTS)
    until(lambda: Job.objects.filter(state="running").count() == SLOTS, "all slots are taken")
    task = submit(principal)
    (letter,) = message_reader.waiting()
    control.revoke(letter.id, destination=[worker.name], reply=True, timeout=ANSWER_S)

    with heard() as events:
        record.let_go(broker, "full", count=SLOTS)
        until(lambda: completed(blocker), "the others are completed")
        until(lambda: "task-revoked" in {event["type"] for event in events}, "the revoked one is told of")
    job = Job.objects.get(workflow=task)
    assert (job.state, job.attempt) == ("available", 0)
    assert publisher.publish(republish.again(job))
    until(lambda: completed(task), "another message is as good as the first")


def test_every_message_of_a_job_that_is_not_one_is_dropped_and_frees_its_slot(
    worker: Worker, principal: Principal
) -> None:
    rubbish: list[tuple[Any, ...]] = [(), ("not an id",), (7,), ([],), ("a", "b"), ("\ud800",), ("x" * 100_000,)]
    for arguments in rubbish:
        for _ in range(SLOTS):
            current_app.send_task("hold_a_thread", args=arguments, queue="model")
    task = submit(principal)
    until(lambda: completed(task), "the worker goes on")


def test_a_failure_that_nobody_has_foreseen_is_told_of_and_frees_its_slot(worker: Worker, principal: Principal) -> None:
    """As if somebody had dropped a function of this release."""
    with heard() as events, renamed("claim"):
        tasks = [submit(principal) for _ in range(2 * SLOTS)]
        until(lambda: len(failures(events)) == 2 * SLOTS, "each failure is told of")
    assert all(
        "does not exist" in event["exception"] and "Traceback" in event["traceback"] for event in failures(events)
    )
    assert worker.says("a worker failed at a message")
    # It is told of before its thread is free.
    until(lambda: asked(worker, "active") == [], "all slots are free")

    for job in Job.objects.all():
        publisher.publish(republish.again(job))
    until(lambda: all(map(completed, tasks)), "the worker goes on")
    assert set(Attempt.objects.values_list("number", flat=True)) == {1}


def failures(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] == "task-failed"]


@contextmanager
def renamed(function: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER FUNCTION {function_set.SCHEMA}.{function} RENAME TO elsewhere")
        try:
            yield
        finally:
            cursor.execute(f"ALTER FUNCTION {function_set.SCHEMA}.elsewhere RENAME TO {function}")


def test_events_tell_of_each_job_with_its_runtime(worker: Worker, principal: Principal) -> None:
    with heard() as events:
        tasks = [submit(principal, jobs=3) for _ in range(3)]
        until(lambda: all(map(completed, tasks)), "all are completed")
        until(lambda: len([event for event in events if event["type"] == "task-succeeded"]) >= 9, "all are told of")
    names = {event["uuid"]: event["args"] for event in events if event["type"] == "task-received"}
    assert set(names.values()) == {f"('{job.pk}',)" for job in Job.objects.all()}
    for uuid in names:
        told = sorted((event for event in events if event.get("uuid") == uuid), key=lambda event: event["clock"])
        assert [event["type"] for event in told] == ["task-received", "task-started", "task-succeeded"]
        assert told[-1]["runtime"] >= 0 and told[-1]["hostname"] == worker.name


def test_a_warm_stop_waits_for_what_runs(worker: Worker, principal: Principal, broker: redis.Redis) -> None:
    task = submit(principal, gate="here")
    until(lambda: Job.objects.get().state == "running", "it runs")
    worker.process.terminate()
    until(lambda: worker.says("the worker is stopping"), "it drains")
    record.let_go(broker, "here", count=1)
    assert worker.process.wait(EXIT_S) == 0
    assert completed(task)
