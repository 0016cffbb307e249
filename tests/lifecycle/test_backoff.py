"""The waits between attempts as rows keep them, to the microsecond under a stopped clock. [F1] [F2]"""

from __future__ import annotations

import random
from typing import Any

import pytest

from agentapp import clock as clock_module
from agentapp import registry
from agentapp.clock import Clock
from agentapp.flows import Flow, Step
from agentapp.llm import failures
from agentapp.models import Attempt, Job
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import kinds
from tests.harness import drain, make_due, path

pytestmark = pytest.mark.django_db(transaction=True)


@job(queue="model")
def probe_answered(ctx: JobContext, *, text: str) -> dict[str, Any]:
    """Its provider always answers with the status, and perhaps the Retry-After, that its text names."""
    status, _, retry_after = text.partition(" ")
    headers = {"retry-after": retry_after} if retry_after else {}
    raise failures.Refused(int(status), body="no", headers=headers).error(now=clock_module.now())


@job(queue="model", retry=RetryPolicy(max_attempts=3, backoff_s=(1, 7)))
def probe_answered_briefly(ctx: JobContext, *, text: str) -> dict[str, Any]:
    raise failures.Refused(int(text), body="no").error(now=clock_module.now())


for kind in ("probe_answered", "probe_answered_briefly"):
    registry.add_flow(
        Flow(kind=kind, version=1, input=kinds.Anything, stages=(Step(kind, bind={"text": "input.text"}),))
    )


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jitter is the caller's, up to a tenth: tests/pure/test_retry.py."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


def run(principal: Principal, text: str, *, kind: str = "probe_answered") -> Job:
    """Submit a task of one job and run it once."""
    task = workflows.submit(principal, kind=kind, input={"text": text})
    drain(task)
    return Job.objects.get(workflow=task)


def waits(job: Job, clock: Clock) -> list[float]:
    """Run a job again whenever it is due until it is a dead letter, and return how long each wait was, in seconds.

    Each time it is not due a microsecond too early, and due to the microsecond.
    """
    waited: list[float] = []
    while job.state == "retryable":
        assert job.scheduled_at is not None
        wait_s = (job.scheduled_at - clock.now()).total_seconds()
        make_due(clock, wait_s - 0.000_001)
        assert Job.objects.get(pk=job.pk).state == "retryable"
        make_due(clock, 0.000_001)
        assert Job.objects.get(pk=job.pk).state == "available"
        drain()
        waited.append(wait_s)
        job.refresh_from_db()
    return waited


def test_10_s_30_s_2_min_10_min_then_a_dead_letter(principal: Principal, clock: Clock) -> None:
    job = run(principal, "503")

    assert waits(job, clock) == [10, 30, 120, 600]

    assert (job.state, job.attempt, job.workflow.state) == ("dead_lettered", 5, "needs_attention")
    assert path(job) == "available > running > " + "retryable > available > running > " * 4 + "dead_lettered"
    attempts = Attempt.objects.filter(job=job)
    assert [attempt.outcome for attempt in attempts] == ["failed"] * 5
    assert all(attempt.error_class == "TransientError" and "503" in attempt.trace for attempt in attempts)


def test_a_longer_retry_after_wins_and_adds_no_attempt(principal: Principal, clock: Clock) -> None:
    job = run(principal, "429 90")

    assert waits(job, clock) == [90, 90, 120, 600]
    assert (job.state, job.attempt) == ("dead_lettered", 5)


def test_a_retry_after_that_is_a_date_is_a_time_of_the_same_clock(principal: Principal, clock: Clock) -> None:
    """The stopped clock stands at noon."""
    job = run(principal, "503 Tue, 01 Jan 2030 12:00:45 GMT")

    assert waits(job, clock)[0] == 45


def test_a_job_type_has_its_own_table(principal: Principal, clock: Clock) -> None:
    assert waits(run(principal, "500", kind="probe_answered_briefly"), clock) == [1, 7]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422, 451])
def test_what_the_other_side_refuses_is_never_tried_again(principal: Principal, clock: Clock, status: int) -> None:
    job = run(principal, str(status))

    assert (job.state, job.attempt, job.scheduled_at) == ("dead_lettered", 1, None)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_be_different_next_time_is_tried_again(principal: Principal, clock: Clock, status: int) -> None:
    job = run(principal, str(status))

    assert (job.state, job.attempt) == ("retryable", 1)
