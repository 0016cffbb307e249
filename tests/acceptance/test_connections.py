"""A worker keeps its connections: a hundred jobs make at most one new one, in threads and in child processes."""

from __future__ import annotations

import pytest

from agentapp.models import Job
from tests.acceptance.deployment import ALIAS, Deployment, until
from tests.agents import record

pytestmark = pytest.mark.acceptance

SLOTS = {"worker_model": 100, "worker_documents": 2}


def connects(deployment: Deployment, worker: str) -> list[str]:
    """The connections that the processes of a worker have made since the deployment stands, in Postgres's own words."""
    log = (deployment.home / "logs" / "postgres.log").read_text().splitlines()
    return [line for line in log if "connection authorized" in line and line.endswith(f"application_name={worker}")]


def warm_up(deployment: Deployment, kind: str, worker: str) -> None:
    """Keep every slot of a worker busy at the same time, until each process has renewed its leases once; then let
    its pool grow to the size that bursts of jobs want."""
    slots = SLOTS[worker]
    task = deployment.submit(kind, jobs=list(range(slots)), gate=kind)
    jobs = Job.objects.using(ALIAS).filter(workflow_id=task)
    until(lambda: jobs.filter(state="running").count() == slots, f"{slots} jobs run at once")
    before = set(jobs.values_list("pk", "lease_expires_at"))
    until(lambda: not before & set(jobs.values_list("pk", "lease_expires_at")), "all leases are renewed")
    record.let_go(deployment.broker, kind, count=slots)
    deployment.reach(task, "completed")
    until(lambda: not new_connections(deployment, kind, worker), "a burst of jobs finds all connections made")


def new_connections(deployment: Deployment, kind: str, worker: str) -> list[str]:
    """Run a hundred jobs, and return the connections that were made for them."""
    before = connects(deployment, worker)
    deployment.reach(deployment.submit(kind, jobs=list(range(100))), "completed")
    return connects(deployment, worker)[len(before) :]


@pytest.mark.parametrize(("kind", "worker"), [("held_threads", "worker_model"), ("held_children", "worker_documents")])
def test_a_hundred_jobs_make_at_most_one_connection(deployment: Deployment, kind: str, worker: str) -> None:
    warm_up(deployment, kind, worker)
    assert connects(deployment, worker)
    assert len(new_connections(deployment, kind, worker)) <= 1
