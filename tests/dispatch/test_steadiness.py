"""A Postgres that stood still is noticed by whoever has asked it all the time. [D5]"""

from __future__ import annotations

import math

import pytest

from agentapp import clock as clock_module
from agentapp import conf
from agentapp.dispatch import rescuer
from agentapp.dispatch.steadiness import Steadiness
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import path
from tests.lifecycle.test_gates import take


class Time:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_who_has_not_seen_a_gap_has_nothing_to_wait_for() -> None:
    time = Time()
    steadiness = Steadiness(clock=time)
    assert steadiness.seconds() == 0
    for _ in range(3):
        steadiness.answered()
        time.now_s += 1
    assert steadiness.seconds() == math.inf


def test_after_a_gap_it_is_counted_from_its_end() -> None:
    time = Time()
    steadiness = Steadiness(clock=time)
    steadiness.answered()
    time.now_s += conf.lease_s()
    assert steadiness.seconds() == 0
    steadiness.answered()
    time.now_s += 1
    steadiness.answered()
    assert steadiness.seconds() == 1


@pytest.mark.django_db(transaction=True)
def test_leases_that_ran_out_while_postgres_stood_still_are_not_ended(
    principal: Principal, clock: clock_module.Clock
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    job = Job.objects.get(workflow=task, type="probe_first")
    assert isinstance(take(job), Claimed)
    clock.advance(3600)

    for steady_s, rescued in ((0.0, 0), (conf.lease_s() - 1, 0), (conf.lease_s(), 1)):
        watch = rescuer.Watch(steady_s=lambda steady_s=steady_s: steady_s, blind_until_s=0)  # type: ignore[misc]
        assert watch.rescue_silent() + watch.rescue_expired() == rescued

    assert path(job) == "available > running > available"
