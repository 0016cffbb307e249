"""Postgres is killed and comes back: what was accepted is there, and nobody takes the living for dead. [D5]"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from django.db.models import QuerySet

from agentapp.models import Artifact, Attempt, Job
from tests.acceptance.chaos.victims import moments
from tests.acceptance.deployment import LEASE_S, Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.load import OPEN_AT_ONCE, Load
from tests.acceptance.scale import LONG, dice, sized
from tests.agents import record

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 3600))]

RUNS, TIMES = sized(25, 200), sized(2, 20)
# kill -9 of the postmaster, and what Postgres calls an immediate shutdown: neither saves anything.
SIGNALS = (signal.SIGKILL, signal.SIGQUIT)
JOBS = 50
WRITERS = 20
AWAY_S = 45
BACK_WITHIN_S = 5
ASKERS = 8
RESTARTS = sized(2, 50)


def test_what_was_accepted_is_there_though_postgres_was_killed(deployment: Deployment) -> None:
    thrown = dice("Postgres kills")
    with Load(deployment, thrown, runs=RUNS, is_probed=True) as load:
        for _ in moments(load, thrown, times=TIMES):
            deployment.kill("postgres", how=thrown.choice(SIGNALS))
            until(deployment.is_up, "Postgres is back")
        load.ended(deadline_s=90)

    until(deployment.is_served, "the web has Postgres back")
    assert not load.unfriendly, load.unfriendly[:3]
    assert set(load.answers) == {"202", "503"}, load.answers
    tasks = {str(task) for task in load.tasks()}
    assert set(load.accepted) <= tasks
    assert not violations(deployment, tasks, since=load.began_at)


def test_a_restart_of_postgres_under_running_jobs_costs_no_attempt(deployment: Deployment) -> None:
    began_at = deployment.recorder.mark()
    task = deployment.submit("noted_threads", jobs=list(range(JOBS)), gate="restart")
    until(lambda: running(deployment, task).count() == JOBS, f"{JOBS} jobs run at once")

    deployment.kill("postgres", how=signal.SIGINT)
    until(deployment.is_up, "Postgres is back")
    with deployment.sql() as session:
        ((back_at,),) = session.execute("SELECT now()").fetchall()
    # A rescuer that takes freed locks for deaths has acted by then.
    until(lambda: renewed_past(deployment, task, back_at), "all leases were renewed for a full lease")
    record.let_go(deployment.broker, "restart", count=JOBS)

    until(deployment.is_served, "the web has Postgres back")
    deployment.reach(task, "completed")
    assert not violations(deployment, [task])
    attempts = Attempt.objects.using(deployment.alias).filter(job__workflow_id=task)
    assert list(attempts.values_list("number", "outcome")) == [(1, "completed")] * JOBS
    assert len(deployment.recorder.lines("held", since=began_at)) == JOBS


def test_a_restart_of_postgres_under_bodies_that_write_costs_no_attempt(deployment: Deployment) -> None:
    task = deployment.submit("writers", writers=list(range(WRITERS)), stop="restarted")
    artifacts = Artifact.objects.using(deployment.alias).filter(workflow_id=task)
    until(lambda: artifacts.values("job_id").distinct().count() == WRITERS, "all of them write")

    deployment.kill("postgres", how=signal.SIGINT)
    until(deployment.is_up, "Postgres is back")
    before = artifacts.count()
    until(lambda: artifacts.count() > before + WRITERS, "they go on")
    record.say(deployment.broker, "restarted")

    until(deployment.is_served, "the web has Postgres back")
    deployment.reach(task, "completed")
    assert not violations(deployment, [task])
    jobs = Job.objects.using(deployment.alias).filter(workflow_id=task)
    attempts = Attempt.objects.using(deployment.alias).filter(job__in=jobs)
    assert list(attempts.values_list("number", "outcome")) == [(1, "completed")] * WRITERS
    assert sum(job.output["written"] for job in jobs if job.output) == artifacts.count()


def test_restarts_of_postgres_under_bodies_that_use_the_orm_cost_no_attempt(deployment: Deployment) -> None:
    """Such a body ends with each restart and is tried again; that counts for nothing."""
    task = deployment.submit("askers", writers=list(range(ASKERS)), stop="enough")
    for restart in range(1, RESTARTS + 1):
        everybody_asks(deployment)
        # Every fifth one is an immediate shutdown, after which Postgres recovers from its log.
        deployment.kill("postgres", how=signal.SIGQUIT if restart % 5 == 0 else signal.SIGINT)
        until(deployment.is_up, f"Postgres is back after restart {restart}")
    everybody_asks(deployment)
    record.say(deployment.broker, "enough")

    until(deployment.is_served, "the web has Postgres back")
    deployment.reach(task, "completed")
    assert not violations(deployment, [task], deaths=frozenset())
    attempts = Attempt.objects.using(deployment.alias).filter(job__workflow_id=task)
    counted = attempts.exclude(outcome="handed_back")
    assert list(counted.values_list("number", "outcome")) == [(1, "completed")] * ASKERS
    assert attempts.count() > ASKERS, "no body has noticed a restart: this run has shown nothing"


def everybody_asks(deployment: Deployment) -> None:
    """Wait until each of the bodies has used the ORM from now on."""
    before = [record.count(deployment.broker, f"enough:{number}") for number in range(ASKERS)]

    def all_asked() -> bool:
        return all(record.count(deployment.broker, f"enough:{number}") > before[number] for number in range(ASKERS))

    until(all_asked, "all of them ask")


@pytest.mark.skipif(not LONG, reason="Postgres is away for 45 seconds: in the long form")
def test_after_45_seconds_without_postgres_work_goes_on_at_once_and_no_attempt_is_lost(deployment: Deployment) -> None:
    """A pool of connections that tries again ever more seldom would stay away as long as Postgres did."""
    thrown = dice("Postgres away")
    with Load(deployment, thrown, runs=OPEN_AT_ONCE, is_probed=True) as load:
        next(moments(load, thrown, times=1))
        with postgres_is_away(deployment):
            back_at = time.monotonic() + AWAY_S
            until(lambda: time.monotonic() > back_at, "it is away for long enough")
        until(deployment.is_up, "Postgres is back")
        bodies = load.bodies_run()
        until(deployment.is_served, "the web has Postgres back", deadline_s=BACK_WITHIN_S)
        until(lambda: load.bodies_run() > bodies, "the workers have Postgres back", deadline_s=BACK_WITHIN_S)
        load.ended(deadline_s=60)

    assert not load.unfriendly, load.unfriendly[:3]
    assert not violations(deployment, load.tasks(), since=load.began_at, deaths=frozenset())
    attempts = Attempt.objects.using(deployment.alias).filter(job__workflow__in=load.tasks())
    assert set(attempts.values_list("outcome", flat=True)) <= {"completed", "handed_back"}


@contextmanager
def postgres_is_away(deployment: Deployment) -> Iterator[None]:
    """Kill Postgres, and hide its files so that it cannot start again before the block ends."""
    data = deployment.home / "postgres"
    deployment.kill("postgres")
    hidden = data.rename(data.with_suffix(".hidden"))
    try:
        yield
    finally:
        hidden.rename(data)


def running(deployment: Deployment, task: str) -> QuerySet[Job]:
    return Job.objects.using(deployment.alias).filter(workflow_id=task, state="running")


def renewed_past(deployment: Deployment, task: str, moment: datetime) -> bool:
    """Whether every job still runs, with a lease that was renewed a full lease after this moment."""
    leases = running(deployment, task).values_list("lease_expires_at", flat=True)
    return len(leases) == JOBS and all(
        lease and (lease - moment).total_seconds() > 2 * LEASE_S for lease in leases
    )  # fmt: skip
