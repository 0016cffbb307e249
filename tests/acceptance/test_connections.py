"""A worker keeps its connections: none is made for a job, in threads and in child processes."""

from __future__ import annotations

import re

import pytest

from agentapp.models import Job
from tests.acceptance.deployment import ALIAS, Deployment, until
from tests.agents import record

pytestmark = pytest.mark.acceptance

SLOTS = {"worker_model": 100, "worker_documents": 2}
# What its processes may hold: a pool each, or one for each child, and those beside it that listen and renew leases.
MOST = {"worker_model": 14, "worker_documents": 7}
MADE = re.compile(r"\[(\d+)\] LOG:  connection authorized: .*application_name=(\w+)$")
HELD = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"


def made(deployment: Deployment, worker: str) -> list[int]:
    """The connections that the processes of a worker have made since the deployment stands, by their process ids, in
    Postgres's own words."""
    log = (deployment.home / "logs" / "postgres.log").read_text().splitlines()
    return [int(found[1]) for line in log if (found := MADE.search(line)) and found[2] == worker]


def held(deployment: Deployment, worker: str) -> set[int]:
    with deployment.sql() as session:
        return {pid for (pid,) in session.execute(HELD, [worker])}


def keep_all_slots_busy(deployment: Deployment, kind: str, worker: str) -> None:
    """At the same time, until each process has renewed its leases once."""
    slots = SLOTS[worker]
    task = deployment.submit(kind, jobs=list(range(slots)), gate=kind)
    jobs = Job.objects.using(ALIAS).filter(workflow_id=task)
    until(lambda: jobs.filter(state="running").count() == slots, f"{slots} jobs run at once")
    before = set(jobs.values_list("pk", "lease_expires_at"))
    until(lambda: not before & set(jobs.values_list("pk", "lease_expires_at")), "all leases are renewed")
    record.let_go(deployment.broker, kind, count=slots)
    deployment.reach(task, "completed")


@pytest.mark.parametrize(("kind", "worker"), [("held_threads", "worker_model"), ("held_children", "worker_documents")])
def test_a_job_makes_no_connection(deployment: Deployment, kind: str, worker: str) -> None:
    keep_all_slots_busy(deployment, kind, worker)
    before, count = held(deployment, worker), len(made(deployment, worker))
    assert before <= set(made(deployment, worker))
    for _ in range(3):
        deployment.reach(deployment.submit(kind, jobs=list(range(100))), "completed")

    # A burst may want more at the same time than those before it: such a one is kept, and there are never many.
    after = held(deployment, worker)
    assert before <= after
    assert set(made(deployment, worker)[count:]) <= after
    assert len(after) <= MOST[worker]
