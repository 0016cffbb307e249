"""A worker that is stopped past its lease comes back late: what it brings is refused. [D2]"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db.models.functions import Now

from agentapp.models import Attempt, Job
from agentapp.runtime.watchdog import STANDSTILL_LEASES
from tests.acceptance.deployment import LEASE_S, Deployment, until
from tests.acceptance.invariants import violations
from tests.agents import record

pytestmark = [pytest.mark.acceptance]

JOBS = 20


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_late_writes_are_refused_twenty_of_twenty(deployment: Deployment) -> None:
    began_at, refused_before = deployment.recorder.mark(), refused(deployment)
    task = deployment.submit("noted_threads", jobs=list(range(JOBS)), gate="stopped")
    jobs = Job.objects.using(deployment.alias).filter(workflow_id=task)
    until(lambda: jobs.filter(state="running").count() == JOBS, "all jobs run on one worker")

    slow = deployment.pid("worker_model")
    # The second worker is ready before the first stands still: one that stands still for four leases ends itself.
    with deployment.one_more("second", like="worker_model"), stopped(slow):
        # It stands still past its lease, and not until its watchdog: of that no time is left to a busy machine.
        jobs.update(lease_expires_at=Now())
        until(lambda: jobs.filter(state="running", worker__startswith="second@").count() == JOBS, "all run again")
        # The stopped worker still stands first at the gate: its bodies wake when it goes on.
        record.let_go(deployment.broker, "stopped", count=2 * JOBS)
        deployment.reach(task, "completed")
        assert not woken(deployment, began_at, slow)
    until(lambda: refused(deployment) - refused_before == JOBS, "every late write is refused")

    assert woken(deployment, began_at, slow) == JOBS
    assert not violations(deployment, [task])
    attempts = Attempt.objects.using(deployment.alias).filter(job__workflow_id=task).order_by("number")
    assert [attempt.outcome for attempt in attempts] == ["lost"] * JOBS + ["completed"] * JOBS
    assert {job.output["attempt"] for job in jobs if job.output} == {2}


def test_a_worker_that_was_stopped_for_longer_than_its_watchdog_waits_ends_and_nothing_is_lost(
    deployment: Deployment,
) -> None:
    began_at = deployment.recorder.mark()
    task = deployment.submit("noted_threads", jobs=list(range(JOBS)), gate="stopped_long")
    jobs = Job.objects.using(deployment.alias).filter(workflow_id=task)
    until(lambda: jobs.filter(state="running").count() == JOBS, "all jobs run on one worker")

    slow = deployment.pid("worker_model")
    with stopped(slow):
        over_at = time.monotonic() + (STANDSTILL_LEASES + 1) * LEASE_S
        until(lambda: time.monotonic() > over_at, "it stands still for long enough")
        until(lambda: not jobs.filter(state="running").exists(), "its jobs are rescued")
    until(lambda: deployment.pid("worker_model") != slow, "it has ended itself, and another one has come")
    record.let_go(deployment.broker, "stopped_long", count=2 * JOBS)

    deployment.reach(task, "completed")
    assert not violations(deployment, [task], since=began_at)
    attempts = Attempt.objects.using(deployment.alias).filter(job__workflow_id=task)
    assert set(attempts.filter(number=1).values_list("outcome", flat=True)) == {"lost"}
    # It may have taken one more message between its waking and its end: that attempt is lost too.
    assert attempts.filter(outcome="completed").count() == JOBS


def refused(deployment: Deployment) -> int:
    """How often the worker has been told that a job is no longer its own."""
    return deployment.log("worker_model").count("job.lost_lease")


def woken(deployment: Deployment, since: int, pid: int) -> int:
    return sum(line["pid"] == pid for line in deployment.recorder.lines("woke", since=since))
