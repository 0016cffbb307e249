"""A job that kills its worker takes others along: their losses use up no attempts of theirs. [D3] [F2]"""

from __future__ import annotations

from datetime import timedelta

import pytest

from agentapp.dispatch import rescuer
from agentapp.lifecycle.claim import claim
from agentapp.models import Attempt, Job
from agentapp.policies.retry import MOST_LOST_IN_COMPANY, GiveUp, RetryIn, RetryPolicy, after_loss
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import make_due

PROCESS = 4711
POLICY = RetryPolicy()


@pytest.fixture
def jobs(principal: Principal) -> list[Job]:
    """The first one kills the process that it runs in; the others take long."""
    found = [workflows.submit(principal, kind="probe_loop", input={}) for _ in range(5)]
    return list(Job.objects.filter(workflow__in=found).order_by("id"))


def die_with(jobs: list[Job], clock) -> None:
    """One process claims all of these that are available, and is killed."""
    for job in jobs:
        claim(str(job.pk), worker="model@here:1", queues=["model"], lease_s=15, process=PROCESS)
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
    claim(str(first.pk), worker="model@here:1", queues=["model"], lease_s=15, process=PROCESS)
    claim(str(second.pk), worker="model@here:2", queues=["model"], lease_s=15, process=PROCESS + 1)
    clock.set(clock.now() + timedelta(seconds=16))
    rescuer.Watch(believes_at_once=True).rescue_expired()

    second.refresh_from_db()
    assert (second.state, second.attempt) == ("available", 1)
