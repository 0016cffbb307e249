"""SIGTERM under load, a deploy in the middle of runs: what was done stays done, what was begun goes on. [D6] [C3]"""

from __future__ import annotations

import signal
import time
from collections import Counter

import psutil
import pytest

from agentapp.models import Attempt, Job, Workflow
from tests.acceptance.chaos.victims import WORKERS, moments
from tests.acceptance.deployment import Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.load import Load
from tests.acceptance.scale import dice, sized, timed
from tests.agents import record
from tests.agents.deployed import deploy

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 1800))]

RUNS, TIMES = sized(25, 1_000), sized(3, 10)
EXIT_WITHIN_S = 10
COUNT_TO = 200
COUNTERS = {"count_in_a_thread": "worker_model", "count_in_a_child": "worker_documents"}
DEPLOYED = ("web", "dispatcher", "dispatcher_b", *WORKERS)


def drain(deployment: Deployment, name: str) -> float:
    """Send SIGTERM to a process that lives; return the seconds until it is gone."""
    until(lambda: psutil.pid_exists(deployment.pid(name)), f"{name} lives")
    began = time.monotonic()
    deployment.kill(name, how=signal.SIGTERM)
    return time.monotonic() - began


def test_no_body_runs_twice_though_workers_are_drained_under_load(deployment: Deployment) -> None:
    thrown = dice("drains")
    with Load(deployment, thrown, runs=RUNS) as load:
        took = [drain(deployment, thrown.choice(WORKERS)) for _ in moments(load, thrown, times=TIMES)]
        load.ended(deadline_s=60)

    timed("the slowest exit, in seconds", max(took), at_most=EXIT_WITHIN_S)
    assert not violations(deployment, load.tasks(), deaths=frozenset(), since=load.began_at)
    attempts = Attempt.objects.using(deployment.alias).filter(job__workflow__in=load.tasks())
    assert set(attempts.values_list("outcome", flat=True)) == {"completed"}
    bodies = Counter(line["job"] for line in deployment.recorder.lines("ran", since=load.began_at))
    assert len(bodies) == load.bodies
    assert set(bodies.values()) == {1}


@pytest.mark.parametrize(("kind", "worker"), COUNTERS.items())
def test_a_body_that_saves_where_it_is_goes_on_from_there(deployment: Deployment, kind: str, worker: str) -> None:
    began_at, counted = deployment.recorder.mark(), deployment.recorder.tail("counted")
    task = deployment.submit(kind, to=COUNT_TO)
    until(lambda: counted.count() >= COUNT_TO // 8, "it counts")
    took = drain(deployment, worker)
    deployment.reach(task, "completed")

    timed("the exit, in seconds", took, at_most=EXIT_WITHIN_S)
    numbers = [line["number"] for line in deployment.recorder.lines("counted", since=began_at)]
    assert numbers == list(range(1, COUNT_TO + 1))
    assert not violations(deployment, [task])
    (job,) = Job.objects.using(deployment.alias).filter(workflow_id=task)
    assert job.attempt == 1
    attempts = deployment.job(task, kind)["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["handed_back", "completed"]


def test_runs_in_flight_finish_on_their_version_after_a_deploy(deployment: Deployment) -> None:
    gate = "deploy"
    older = [deployment.submit("deployed", gate=gate) for _ in range(5)]
    begun = Job.objects.using(deployment.alias).filter(workflow_id__in=older, type="deploy_begin", state="running")
    until(lambda: begun.count() == len(older), "the older runs have begun")

    deploy(deployment.home)
    took = {name: drain(deployment, name) for name in DEPLOYED}
    until(deployment.is_served, "the web is back")
    newer = deployment.submit("deployed")
    record.let_go(deployment.broker, gate, count=len(older))

    assert deployment.reach(newer, "completed")["result"] == {"checked": True}
    for task in older:
        assert deployment.reach(task, "completed")["result"] == {"checked": False}
    versions = dict(Workflow.objects.using(deployment.alias).filter(kind="deployed").values_list("pk", "version"))
    assert [versions[pk] for pk in sorted(versions)] == [1] * len(older) + [2]
    assert not violations(deployment, [*older, newer])
    timed("the slowest exit, in seconds", max(took.values()), at_most=EXIT_WITHIN_S)
