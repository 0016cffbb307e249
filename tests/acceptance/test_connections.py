"""A worker keeps its connections: a hundred jobs make at most one new one, in threads and in child processes."""

from __future__ import annotations

import pytest

from agentapp.models import Job
from tests.acceptance.house import HOUSE, House, until
from tests.agents import record

pytestmark = pytest.mark.acceptance

SLOTS = {"worker_model": 100, "worker_documents": 2}


def connects(house: House, worker: str) -> int:
    """How many connections the processes of a worker have made since the house stands, by Postgres's own log."""
    log = (house.home / "logs" / "postgres.log").read_text()
    return sum(
        "connection authorized" in line and line.endswith(f"application_name={worker}") for line in log.splitlines()
    )


def warm_up(house: House, kind: str, *, slots: int) -> None:
    """Keep every slot of a worker busy at the same time, until each process has renewed its leases once."""
    task = house.submit(kind, jobs=list(range(slots)), gate=kind)
    jobs = Job.objects.using(HOUSE).filter(workflow_id=task)
    until(lambda: jobs.filter(state="running").count() == slots, f"{slots} jobs run at once")
    before = set(jobs.values_list("pk", "lease_expires_at"))
    until(lambda: not before & set(jobs.values_list("pk", "lease_expires_at")), "all leases are renewed")
    record.let_go(house.broker, kind, count=slots)
    house.reach(task, "completed")


@pytest.mark.parametrize(("kind", "worker"), [("held_threads", "worker_model"), ("held_children", "worker_documents")])
def test_a_hundred_jobs_make_at_most_one_connection(house: House, kind: str, worker: str) -> None:
    warm_up(house, kind, slots=SLOTS[worker])
    before = connects(house, worker)
    assert before > 0

    task = house.submit(kind, jobs=list(range(100)))
    house.reach(task, "completed")
    assert connects(house, worker) - before <= 1
