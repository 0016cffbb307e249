"""What a job costs: counted on the wire between us and Postgres, by libpq itself. [D1]"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import redis
from django.db import connection

from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job, Workflow
from agentapp.runtime import runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.agents import traced as traced  # registers the kind
from tests.harness import be_a_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

# A message of ours that Postgres answers before we go on.
QUESTIONS = ("Query", "Sync")


@dataclass
class Wire:
    round_trips: int = 0


@contextmanager
def wire() -> Iterator[Wire]:
    """Count round trips on this thread's connection."""
    connection.ensure_connection()
    raw, counted = connection.connection.pgconn, Wire()
    with tempfile.TemporaryFile(mode="w+") as trace:
        raw.trace(trace.fileno())
        try:
            yield counted
        finally:
            raw.untrace()
            trace.seek(0)
            lines = [line.split("\t") for line in trace.read().splitlines()]
            counted.round_trips = sum(line[1] == "F" and line[3] in QUESTIONS for line in lines if len(line) > 3)


@pytest.fixture
def run(principal: Principal, broker: redis.Redis) -> Workflow:
    be_a_worker()
    return workflows.submit(principal, kind="traced", input={})


def available(run: Workflow) -> str:
    return str(Job.objects.filter(workflow=run, state="available").order_by("part")[0].pk)


def test_a_submission_is_one_round_trip(principal: Principal, broker: redis.Redis) -> None:
    with wire() as counted:
        workflows.submit(principal, kind="traced", input={})
    assert counted.round_trips == 1


def test_a_claim_is_one_round_trip(run: Workflow) -> None:
    job = available(run)
    with wire() as counted:
        claim(job, worker="w", queues=["model"], lease_s=60)
    assert counted.round_trips == 1


def test_a_settle_is_one_round_trip_whatever_it_opens(run: Workflow) -> None:
    job = claim(available(run), worker="w", queues=["model"], lease_s=60)
    assert isinstance(job, Claimed)
    with wire() as counted:
        opened = complete(job, {"word": "X"}, worker="w").opened
    assert len(opened.jobs) == 3
    assert counted.round_trips == 1


def test_a_job_is_two_round_trips(run: Workflow) -> None:
    job = available(run)
    with wire() as counted:
        runner.run(job)
    assert counted.round_trips == 2


def test_each_job_that_follows_in_place_is_one_more(run: Workflow) -> None:
    for _ in range(3):
        runner.run(available(run))
    last_part = available(run)
    be_a_worker("model", "retrieval")
    with wire() as counted:
        ran = runner.run(last_part)
    # The part, the join, the check: one claim, three settles of which two claim the next as well.
    assert ran.in_place == 2
    assert counted.round_trips == 4


def test_an_effect_is_one_more(run: Workflow) -> None:
    be_a_worker("model", "retrieval")
    for _ in range(4):
        runner.run(available(run))
    be_a_worker()
    job = available(run)
    with wire() as counted:
        runner.run(job)
    run.refresh_from_db()
    assert run.state == "completed"
    assert counted.round_trips == 3
