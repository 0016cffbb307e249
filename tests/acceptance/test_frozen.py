"""A component that hangs instead of failing: the leader, the broker, or somebody who holds a row."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agentapp.models import DispatcherLease, Job
from tests.acceptance.deployment import ALIAS, Deployment, until
from tests.acceptance.test_dispatchers import PAIR, leaders
from tests.agents import record

pytestmark = pytest.mark.acceptance

# Whoever waits longer than this for an answer has given up.
CLIENT_S = 8.0


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


def test_a_leader_that_is_frozen_is_replaced_and_leads_no_more(deployment: Deployment) -> None:
    until(lambda: leaders(deployment), "one of them leads")
    (leader,) = leaders(deployment)
    (other,) = PAIR - {leader}
    with frozen(deployment, leader):
        task = deployment.submit("fails_once")
        until(lambda: leaders(deployment) == [other], f"{other} leads")
        deployment.reach(task, "completed")
        taken = lease()

    renewed = lease().renewed_at
    until(lambda: "leads no longer" in deployment.log(leader), f"{leader} has found its epoch gone")
    until(lambda: lease().renewed_at != renewed, f"{other} has renewed its lease")
    assert (lease().holder, lease().epoch) == (taken.holder, taken.epoch)


def test_tasks_are_accepted_and_rescued_while_the_broker_is_frozen(deployment: Deployment) -> None:
    running = deployment.submit("held_threads", jobs=[0], gate="frozen_broker")
    job = deployment.reach_job(running, "hold_a_thread", "running")
    with frozen(deployment, "valkey"):
        deployment.web.timeout = CLIENT_S
        try:
            late = [deployment.submit("fails_once") for _ in range(3)]
        finally:
            deployment.web.timeout = 30
        deployment.kill("worker_model")
        until(
            lambda: Job.objects.using(ALIAS).get(pk=job["id"]).state == "available", "the lost job is available again"
        )

    for task in late:
        deployment.reach(task, "completed")
    record.let_go(deployment.broker, "frozen_broker", count=8)
    deployment.reach(running, "completed")


def test_one_task_that_somebody_holds_keeps_no_other_waiting(deployment: Deployment) -> None:
    held = deployment.submit("fails_once")
    deployment.reach_job(held, "fail_once", "retryable")
    with deployment.sql() as session, session.transaction():
        session.execute("SELECT 1 FROM agentapp_workflow WHERE id = %s FOR UPDATE", [held])
        free = deployment.submit("fails_once")
        deployment.reach(free, "completed")

    deployment.reach(held, "completed")
