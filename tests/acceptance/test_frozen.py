"""A component that hangs instead of failing: the leader, the broker, or somebody who holds a row.

The long form holds what is promised meanwhile: lost work runs again within 10 seconds, a task is accepted within one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import psutil
import pytest

from agentapp.models import Attempt, DispatcherLease, Job
from agentapp.observability import events
from tests.acceptance.deployment import ALIAS, ANSWER_S, LEASE_S, Deployment, until
from tests.acceptance.scale import sized, timed
from tests.acceptance.test_dispatchers import PAIR, leaders
from tests.agents import record
from tests.gateway import Gateway

pytestmark = pytest.mark.acceptance

# A client that waits longer than this for an answer has given up.
CLIENT_S = 60.0
LEADS, DEPOSED = (events.CATALOGUE[name] for name in ("dispatcher.leads", "dispatcher.deposed"))
JOBS = 40
AGAIN_S, ACCEPTED_S = 10.0, 1.0
# For how long at least somebody holds a row.
HELD_S = sized(0, 60)


@contextmanager
def frozen(deployment: Deployment, name: str) -> Iterator[None]:
    pid = deployment.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def lease() -> DispatcherLease:
    return DispatcherLease.objects.using(ALIAS).get()


def turns(deployment: Deployment, name: str) -> int:
    """How often a dispatcher has found that the lead was taken from it, or has taken it. Where the others have had no
    processor for longer than a lease, one that was cut off leads again, under another epoch."""
    log = deployment.log(name)
    return log.count(LEADS) + log.count(DEPOSED)


@pytest.fixture(autouse=True)
def impatient(deployment: Deployment) -> Iterator[None]:
    """Nobody waits long for the web."""
    deployment.web.timeout = CLIENT_S
    yield
    deployment.web.timeout = ANSWER_S


@contextmanager
def a_lost_job(deployment: Deployment, gate: str) -> Iterator[None]:
    """A job whose worker is killed as the block begins; when it ends, the job runs again, and is let go."""
    task = deployment.submit("held_threads", jobs=[0], gate=gate)
    job = deployment.reach_job(task, "hold_a_thread", "running")
    killed_at = datetime.now(UTC)
    deployment.kill("worker_model")
    yield
    rows = Job.objects.using(ALIAS).filter(pk=job["id"], state="running", attempt=2)
    until(rows.exists, "the lost job runs again")
    started_at = rows.get().started_at
    assert started_at is not None
    timed("until the lost job ran again", (started_at - killed_at).total_seconds(), at_most=AGAIN_S)
    record.let_go(deployment.broker, gate, count=2)
    deployment.reach(task, "completed")


def accepted(deployment: Deployment) -> str:
    """Submit a task that ends soon."""
    asked_s = time.monotonic()
    task = deployment.submit("fails_once")
    timed("until a task was accepted", time.monotonic() - asked_s, at_most=ACCEPTED_S)
    return task


def test_a_leader_that_is_cut_off_is_replaced_and_leads_no_more(deployment: Deployment) -> None:
    """Its line is dead and nobody closes it: Postgres believes in its session for hours."""
    gateway = Gateway(deployment.about["database_url"])
    with deployment.one_more("cut_off", like="dispatcher", env={"DATABASE_URL": gateway.url}):
        with frozen(deployment, "dispatcher"), frozen(deployment, "dispatcher_b"):
            until(lambda: leaders(deployment) == ["cut_off"], "the one behind the gateway leads")
            until(lambda: LEADS in deployment.log("cut_off"), "it says so")
            lost, before = lease().epoch, turns(deployment, "cut_off")
        gateway.freeze()
        with a_lost_job(deployment, "cut_off"):
            task = accepted(deployment)
            deployment.reach(task, "completed")
            taken = lease()

        assert taken.epoch > lost
        gateway.thaw()

        until(lambda: turns(deployment, "cut_off") > before, "it has found its epoch gone")
        assert lease().epoch >= taken.epoch
    gateway.close()


def test_a_leader_that_is_frozen_is_replaced_and_leads_no_more(deployment: Deployment) -> None:
    until(lambda: leaders(deployment), "one of them leads")
    (leader,) = leaders(deployment)
    (other,) = PAIR - {leader}
    before = turns(deployment, leader)
    with frozen(deployment, leader), a_lost_job(deployment, "frozen_leader"):
        task = accepted(deployment)
        until(lambda: leaders(deployment) == [other], f"{other} leads")
        deployment.reach(task, "completed")
        taken = lease()

    renewed = lease().renewed_at
    until(lambda: turns(deployment, leader) > before, f"{leader} has found its epoch gone")
    until(lambda: lease().renewed_at != renewed, "a lease is renewed")
    assert lease().epoch >= taken.epoch


def test_tasks_are_accepted_and_rescued_while_the_broker_is_frozen(deployment: Deployment) -> None:
    running = deployment.submit("held_threads", jobs=[0], gate="frozen_broker")
    job = deployment.reach_job(running, "hold_a_thread", "running")
    with frozen(deployment, "valkey"):
        late = [accepted(deployment) for _ in range(3)]
        deployment.kill("worker_model")
        until(
            lambda: Job.objects.using(ALIAS).get(pk=job["id"]).state == "available", "the lost job is available again"
        )

    for task in late:
        deployment.reach(task, "completed")
    record.let_go(deployment.broker, "frozen_broker", count=8)
    deployment.reach(running, "completed")


def test_one_task_that_somebody_holds_keeps_no_other_waiting(deployment: Deployment) -> None:
    held = deployment.submit("fails_for_long")
    job = deployment.reach_job(held, "fail_for_long", "retryable")
    over_at = time.monotonic() + HELD_S
    with deployment.sql() as session, session.transaction():
        session.execute("SELECT 1 FROM agentapp_workflow WHERE id = %s FOR UPDATE", [held])
        deployment.make_due(job["id"])
        with a_lost_job(deployment, "held_row"):
            free = accepted(deployment)
            deployment.reach(free, "completed")
        until(lambda: time.monotonic() > over_at, "it was held for long enough")
        assert deployment.job(held, "fail_for_long")["state"] == "retryable"

    deployment.reach(held, "completed")


def test_a_postgres_that_stood_still_longer_than_a_lease_costs_no_attempt(deployment: Deployment) -> None:
    """All leases have run out when it goes on, and the dispatcher's sessions go on first."""
    task = deployment.submit("held_threads", jobs=list(range(JOBS)), gate="still")
    jobs = Job.objects.using(ALIAS).filter(workflow_id=task)
    until(lambda: jobs.filter(state="running").count() == JOBS, "all jobs run")
    with deployment.sql() as session:
        server = psutil.Process(deployment.pid("postgres"))
        dispatchers = session.execute("SELECT pid FROM pg_stat_activity WHERE application_name = ANY(%s)", [list(PAIR)])
        first = {pid for (pid,) in dispatchers} | {server.pid, session.info.backend_pid}
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            over_at = time.monotonic() + 3 * LEASE_S
            until(lambda: time.monotonic() > over_at, "it has stood still for long enough")
            for process in processes:
                if process.pid in first:
                    process.resume()
            # The dispatcher has looked several times by then, and is not steady again yet.
            enough_at = time.monotonic() + LEASE_S / 4
            until(lambda: time.monotonic() > enough_at, "the dispatcher alone has gone on")
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
        renewed = "SELECT bool_and(lease_expires_at > now()) FROM agentapp_job WHERE workflow_id = %s"
        until(lambda: session.execute(renewed, [task]).fetchall() == [(True,)], "the worker has renewed all leases")

    record.let_go(deployment.broker, "still", count=2 * JOBS)
    deployment.reach(task, "completed")
    attempts = Attempt.objects.using(ALIAS).filter(job__workflow_id=task)
    assert list(attempts.values_list("number", "outcome")) == [(1, "completed")] * JOBS
