"""A job that kills its worker takes others along: their losses use up no attempts of theirs. [D3] [F2]"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from agentapp.dispatch import rescuer
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Attempt, Job
from agentapp.policies.retry import MOST_LOST_IN_COMPANY, GiveUp, RetryIn, RetryPolicy, after_loss
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import make_due

PROCESS, WORKER = 4711, "model@here:1"
POLICY = RetryPolicy()
# A healthy body of these tests, and the one that kills its process.
HEALTHY_S, DEADLY_S = 170, 10


@pytest.fixture
def jobs(principal: Principal) -> list[Job]:
    """The first one kills the process that it runs in; the others take long."""
    found = [workflows.submit(principal, kind="probe_loop", input={}) for _ in range(5)]
    return list(Job.objects.filter(workflow__in=found).order_by("id"))


def die_with(jobs: list[Job], clock) -> None:
    """One process claims all of these that are available, and is killed."""
    for job in jobs:
        claim(str(job.pk), worker=WORKER, queues=["model"], lease_s=15, process=PROCESS)
    clock.advance(16)
    rescuer.Watch(believes_at_once=True).rescue_expired()
    for job in jobs:
        job.refresh_from_db()


def test_who_was_lost_less_often_is_available_at_once_and_loses_no_attempt(jobs: list[Job], clock) -> None:
    killer, *others = jobs
    die_with([killer], clock)
    die_with(jobs, clock)

    assert (killer.state, killer.attempt) == ("retryable", 2)
    assert {(job.state, job.attempt) for job in others} == {("available", 0)}
    assert Attempt.objects.filter(job=others[0], outcome="lost").count() == 1


def test_a_killer_that_was_seen_alone_once_ends_after_its_attempts_and_takes_nobody_with_it(
    jobs: list[Job], clock
) -> None:
    killer, *others = jobs
    die_with([killer], clock)
    for _ in range(4):
        make_due(clock, 700)
        die_with(jobs, clock)

    assert (killer.state, Attempt.objects.filter(job=killer).count()) == ("dead_lettered", 5)
    assert {(job.state, job.attempt) for job in others} == {("available", 0)}


def test_of_equals_nobody_is_counted_until_they_come_apart() -> None:
    first = after_loss(POLICY, attempt=1, lost_before=0, beside=0)
    third = after_loss(POLICY, attempt=3, lost_before=2, beside=2)

    assert (first.then, first.is_counted) == (RetryIn(0.0), True)
    assert (third.then, third.is_counted, third.jitter) == (RetryIn(30.0), False, 1.0)


def test_a_bystander_is_not_excused_forever() -> None:
    last = after_loss(POLICY, attempt=5, lost_before=MOST_LOST_IN_COMPANY, beside=MOST_LOST_IN_COMPANY + 5)

    assert isinstance(last.then, GiveUp)


def test_those_of_other_processes_are_no_company(jobs: list[Job], clock) -> None:
    first, second, *_ = jobs
    die_with([first], clock)
    claim(str(first.pk), worker=WORKER, queues=["model"], lease_s=15, process=PROCESS)
    claim(str(second.pk), worker="model@here:2", queues=["model"], lease_s=15, process=PROCESS + 1)
    clock.set(clock.now() + timedelta(seconds=16))
    rescuer.Watch(believes_at_once=True).rescue_expired()

    second.refresh_from_db()
    assert (second.state, second.attempt) == ("available", 1)


class OneProcess:
    """Takes whatever is due as soon as it is. It dies when the killer has run for a while, and comes back at once."""

    def __init__(self, jobs: list[Job], clock) -> None:
        self._killer = jobs[0].pk
        self._jobs = Job.objects.filter(pk__in=[job.pk for job in jobs])
        self._clock = clock
        self._bodies: dict[UUID, tuple[datetime, Claimed]] = {}

    def run(self) -> None:
        while self._jobs.exclude(state__in=("completed", "dead_lettered")).exists():
            make_due(self._clock, 0)
            for job in self._jobs.filter(state="available"):
                claimed = claim(str(job.pk), worker=WORKER, queues=["model"], lease_s=9_999, process=PROCESS)
                assert isinstance(claimed, Claimed)
                lasts_s = DEADLY_S if job.pk == self._killer else HEALTHY_S
                self._bodies[job.pk] = self._clock.now() + timedelta(seconds=lasts_s), claimed
            waiting = self._jobs.filter(scheduled_at__isnull=False).values_list("scheduled_at", flat=True)
            self._clock.set(min([*filter(None, waiting), *(over_at for over_at, _ in self._bodies.values())]))
            self._end_bodies()

    def _end_bodies(self) -> None:
        over = [claimed for over_at, claimed in self._bodies.values() if over_at <= self._clock.now()]
        for claimed in over:
            if claimed.id == self._killer:
                rescuer.rescue_of(WORKER)
                self._bodies.clear()
                return
            complete(claimed, {"seen": 1, "verdict": "pass"}, worker=WORKER)
            del self._bodies[claimed.id]


@pytest.mark.parametrize("seed", range(3))
def test_four_long_jobs_beside_a_job_that_kills_their_process_each_time_are_completed(
    jobs: list[Job], clock, seed: int
) -> None:
    before = random.getstate()
    random.seed(seed)
    try:
        OneProcess(jobs, clock).run()
    finally:
        random.setstate(before)

    killer, *others = (Job.objects.get(pk=job.pk) for job in jobs)
    assert {job.state for job in others} == {"completed"}
    assert killer.state == "dead_lettered"
