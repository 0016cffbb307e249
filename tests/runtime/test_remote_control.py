"""Remote control changes what a running worker with threads does: the events that it sends, the queues that it reads.
And a worker that lost the broker while all its slots were taken goes on, with no more jobs than slots."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app

from agentapp.models import Job, Workflow
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.agents import held as held  # registers the kinds
from tests.agents import record
from tests.dispatch.message_reader import MessageReader
from tests.runtime.test_strategy import ANSWER_S, Event, completed, heard, submit
from tests.runtime.worker_process import SLOTS, Worker, running_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

control: Any = current_app.control


@pytest.fixture
def worker(process_env: dict[str, str], broker: redis.Redis, tmp_path: Path) -> Iterator[Worker]:
    with running_worker(process_env | {"AGENTAPP_LEASE_S": "60"}, log=tmp_path / "worker.log") as worker:
        yield worker


def run(principal: Principal) -> Workflow:
    task = submit(principal)
    until(lambda: completed(task), "it is completed")
    return task


def tell(worker: Worker, command: str, **arguments: Any) -> None:
    (answer,) = control.broadcast(command, arguments, destination=[worker.name], reply=True, timeout=ANSWER_S, limit=1)
    assert "ok" in answer[worker.name]


def reconnected(worker: Worker, times: int) -> bool:
    return worker.log().count("Connected to") > times


def is_shown(events: list[Event], task: Workflow) -> bool:
    told = f"('{Job.objects.get(workflow=task).pk}',)"
    uuids = {event["uuid"] for event in events if event.get("args") == told}
    return any(event["type"] == "task-succeeded" and event["uuid"] in uuids for event in events)


def test_a_worker_sends_events_of_jobs_only_while_somebody_asked_for_them(worker: Worker, principal: Principal) -> None:
    with heard() as events:
        unasked = run(principal)
        tell(worker, "enable_events")
        asked = run(principal)
        until(lambda: is_shown(events, asked), "it is told of")
        tell(worker, "disable_events")
        no_longer = run(principal)
        tell(worker, "enable_events")
        again = run(principal)
        until(lambda: is_shown(events, again), "it is told of")
    assert not is_shown(events, unasked)
    assert not is_shown(events, no_longer)


def test_a_queue_that_is_taken_away_keeps_its_messages_until_it_is_given_back(
    worker: Worker, principal: Principal, message_reader: MessageReader
) -> None:
    run(principal)
    tell(worker, "cancel_consumer", queue="model")
    tasks = [submit(principal) for _ in range(SLOTS)]
    until(lambda: len(message_reader.waiting()) == SLOTS, "they wait")
    tell(worker, "add_consumer", queue="model")
    until(lambda: all(map(completed, tasks)), "all are completed")


def test_a_worker_that_lost_the_broker_while_it_was_full_takes_no_more_than_it_has_slots_for(
    worker: Worker, principal: Principal, broker: redis.Redis, message_reader: MessageReader
) -> None:
    full = submit(principal, gate="full", jobs=SLOTS)
    until(lambda: Job.objects.filter(state="running").count() == SLOTS, "all slots are taken")
    tasks = [submit(principal) for _ in range(SLOTS)]
    until(lambda: len(message_reader.waiting()) == SLOTS, "they wait")
    for times in (1, 2, 3):
        for client in broker.client_list():
            # Of the worker's main loop; the bodies wait on connections of their own.
            if client["cmd"] == "psubscribe":
                broker.client_kill_filter(_id=client["id"])
        until(partial(reconnected, worker, times), "it is connected again")
        until(lambda: control.ping(destination=[worker.name], timeout=2, limit=1), "it answers")
        assert len(message_reader.waiting()) == SLOTS
    record.let_go(broker, "full", count=SLOTS)
    until(lambda: completed(full) and all(map(completed, tasks)), "all are completed")
