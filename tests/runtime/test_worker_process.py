"""A worker's process beside a Postgres or a broker that hangs or changes its role."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis
from django.db import connection

from agentapp import models
from agentapp.models import Attempt, Job, Workflow
from agentapp.runtime.watchdog import STANDSTILL_LEASES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.testing.servers import REDIS_VARIABLE
from tests import outage
from tests.acceptance import scale
from tests.acceptance.deployment import until
from tests.agents import held as held  # registers the kinds
from tests.agents import record
from tests.gateway import BrokerGateway, Gateway
from tests.runtime.worker_process import EXIT_S, Worker, running_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]
# Within four of them its watchdog ends a process that a busy machine keeps waiting.
LEASE_S, SHORT_S = 30.0, 2.0
NAME = "worker_of_this_test"
LOST = "onnection to broker lost"
# Within which a worker that is told to end has ended, whatever hangs.
PROMISED_S = 9.0


@pytest.fixture
def gateway(process_env: dict[str, str]) -> Iterator[Gateway]:
    gateway = Gateway(process_env["DATABASE_URL"])
    yield gateway
    gateway.close()


@pytest.fixture
def way_to_broker(process_env: dict[str, str]) -> Iterator[BrokerGateway]:
    gateway = BrokerGateway(process_env["REDIS_URL"])
    yield gateway
    gateway.close()


@pytest.fixture
def lease_s() -> float:
    return LEASE_S


@pytest.fixture
def worker(
    process_env: dict[str, str], gateway: Gateway, way_to_broker: BrokerGateway, broker: redis.Redis, tmp_path: Path,
    lease_s: float,
) -> Iterator[Worker]:  # fmt: skip
    env = process_env | {
        "DATABASE_URL": gateway.url, "REDIS_URL": way_to_broker.url, "AGENTAPP_LEASE_S": str(lease_s),
        "AGENTAPP_HEARTBEAT_S": "0.3", "AGENTAPP_DRAIN_S": "1", "AGENTAPP_DB_POOL_MAX": "4",
    }  # fmt: skip
    with running_worker(env, log=tmp_path / "worker.log") as worker:
        yield worker


@pytest.fixture
def running(worker: Worker, principal: Principal) -> Callable[[int], list[Workflow]]:
    """A maker of tasks whose one job runs in the worker until it is let go."""

    def make(count: int) -> list[Workflow]:
        made = [workflows.submit(principal, kind="held_threads", input={"gate": "here"}) for _ in range(count)]
        until(lambda: Job.objects.filter(state="running").count() == count, f"{count} jobs run")
        return made

    return make


def state(workflow: Workflow) -> str:
    return Job.objects.get(workflow=workflow).state


def told_to_end(worker: Worker) -> int:
    """Send SIGTERM, and return the exit code."""
    worker.process.send_signal(signal.SIGTERM)
    told_s = time.monotonic()
    code = worker.process.wait(EXIT_S)
    scale.timed("the worker's exit", time.monotonic() - told_s, at_most=PROMISED_S)
    return code


def test_a_row_that_somebody_holds_keeps_no_worker_from_ending(
    worker: Worker, running: Callable[[int], list[Workflow]]
) -> None:
    """More tasks than the pool has connections; what can be handed back is, whatever happens to the one."""
    first, *others = running(7)
    with outage.locked(first.pk):
        assert told_to_end(worker) == 0
        assert {state(other) for other in others} == {"available"}
        assert state(first) == "running"
    assert set(Attempt.objects.filter(job__workflow__in=others).values_list("outcome", flat=True)) == {"handed_back"}


def test_a_postgres_that_hangs_keeps_no_worker_from_ending(
    worker: Worker, running: Callable[[int], list[Workflow]], gateway: Gateway
) -> None:
    running(2)
    gateway.freeze()
    assert told_to_end(worker) == 0


@pytest.mark.parametrize("lease_s", [SHORT_S])
def test_a_worker_outlives_a_postgres_that_hangs_for_many_leases(
    worker: Worker, running: Callable[[int], list[Workflow]], gateway: Gateway, broker: redis.Redis, lease_s: float
) -> None:
    (task,) = running(1)
    gateway.freeze()
    with pytest.raises(subprocess.TimeoutExpired):
        worker.process.wait(lease_s * (STANDSTILL_LEASES + 1))
    gateway.thaw()
    record.let_go(broker, "here", count=1)
    until(lambda: state(task) == "completed", "the job is completed")
    assert Job.objects.get(workflow=task).attempt == 1


def test_a_session_that_somebody_ends_is_made_anew_before_the_next_heartbeat(
    process_env: dict[str, str], broker: redis.Redis, tmp_path: Path
) -> None:
    env = process_env | {"AGENTAPP_HEARTBEAT_S": "600", "AGENTAPP_LEASE_S": "1800", "PGAPPNAME": NAME}
    worker = Worker(env, log=tmp_path / "worker.log")
    try:
        until(holders, "it holds its lock")
        (first,) = holders()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        until(lambda: holders() - {first}, "it holds its lock again")
        # Its next heartbeat is minutes away, and it has not died.
        assert told_to_end(worker) == 0
        assert models.Worker.objects.filter(name__startswith=worker.name, draining_at__isnull=False).exists()
    finally:
        worker.end()


def holders() -> set[int]:
    """The sessions of the worker that hold its advisory lock: one of a test before may still be about to end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND a.application_name = %s",
            [NAME],
        )
        return {pid for (pid,) in cursor.fetchall()}


@contextmanager
def a_replica(broker: redis.Redis, _: BrokerGateway) -> Iterator[set[str]]:
    broker.replicaof("127.0.0.1", 1)
    try:
        yield {"UNBLOCKED", LOST}
    finally:
        broker.replicaof("NO", "ONE")


@contextmanager
def short_of_replicas(broker: redis.Redis, _: BrokerGateway) -> Iterator[set[str]]:
    broker.config_set("min-replicas-to-write", 1)
    try:
        yield {LOST}
    finally:
        broker.config_set("min-replicas-to-write", 0)


@contextmanager
def unable_to_save(broker: redis.Redis, _: BrokerGateway) -> Iterator[set[str]]:
    """MISCONF: where its last snapshot should be written stands a folder."""
    found = broker.config_get("dir") | broker.config_get("dbfilename")
    snapshot = Path(str(found["dir"]), str(found["dbfilename"]))
    (snapshot / "something").mkdir(parents=True)
    broker.config_set("save", "3600 1")
    try:
        broker.bgsave()
        until(lambda: broker.info("persistence")["rdb_last_bgsave_status"] == "err", "it could not save")
        yield {LOST}
    finally:
        broker.config_set("save", "")
        shutil.rmtree(snapshot)


@contextmanager
def loading(broker: redis.Redis, way: BrokerGateway) -> Iterator[set[str]]:
    """It was started anew and reads its data."""
    way.says = "LOADING Valkey is loading the dataset in memory"
    try:
        broker.client_kill_filter(_type="normal", skipme=True)
        yield {"loading"}
    finally:
        way.says = ""


def says_any(worker: Worker, words: set[str], *, since: int) -> bool:
    return any(each in worker.log()[since:] for each in words)


@pytest.mark.skipif(REDIS_VARIABLE in os.environ, reason="changes the role of the broker, which is not the test's own")
def test_a_broker_that_changes_its_role_or_takes_no_writes_ends_no_worker(
    worker: Worker, principal: Principal, broker: redis.Redis, way_to_broker: BrokerGateway
) -> None:
    """One after the other, for one worker: it is back each time."""
    for becomes in (a_replica, short_of_replicas, unable_to_save, loading):
        before = len(worker.log())
        with becomes(broker, way_to_broker) as said:
            until(partial(says_any, worker, said, since=before), f"the worker has noticed {becomes.__name__}")
        task = workflows.submit(principal, kind="held_threads", input={})
        until(Job.objects.filter(workflow=task, state="completed").exists, "the job is completed", deadline_s=90)
    assert worker.process.poll() is None


def test_a_worker_whose_main_loop_fails_hands_back_and_ends(
    worker: Worker, running: Callable[[int], list[Workflow]], broker: redis.Redis
) -> None:
    """Somebody has put something else in the place of a queue's list."""
    (task,) = running(1)
    broker.set("model", "no list")
    try:
        assert worker.process.wait(EXIT_S) == 1
    finally:
        broker.delete("model")
    assert state(task) == "available"
