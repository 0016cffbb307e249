"""A Postgres that stood still is noticed by a process that has asked it all the time. [D5]"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now

from agentapp import clock as clock_module
from agentapp import conf
from agentapp.dispatch import rescuer
from agentapp.dispatch.steadiness import Steadiness
from agentapp.errors import DatabaseBusy
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
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
        watch = rescuer.Watch(steady_s=lambda steady_s=steady_s: steady_s, believes_at_once=True)  # type: ignore[misc]
        assert watch.rescue_silent() + watch.rescue_expired() == rescued

    assert path(job) == "available > running > available"


@pytest.mark.django_db(transaction=True)
def test_a_lease_that_is_renewed_between_two_looks_is_not_ended(principal: Principal, settings: Any) -> None:
    """Somebody held its row for longer than a lease, so that its living worker could not renew it."""
    settings.AGENTAPP_LEASE_S, settings.AGENTAPP_HEARTBEAT_S = 1.0, 0.2
    task = workflows.submit(principal, kind="probe_fan", input={})
    job = Job.objects.get(workflow=task, type="probe_first")
    assert isinstance(take(job), Claimed)
    watch = rescuer.Watch()

    for _ in range(2):
        lease_of(job, Now() - timedelta(seconds=60))
        assert watch.rescue_expired() == 0
        lease_of(job, Now() + timedelta(seconds=60))
        assert watch.rescue_expired() == 0
    lease_of(job, Now() - timedelta(seconds=60))
    assert watch.rescue_expired() == 0
    until(lambda: watch.rescue_expired() == 1, "it is found twice")

    assert path(job) == "available > running > available"


def lease_of(job: Job, moment: Any) -> None:
    Job.objects.filter(pk=job.pk).update(lease_expires_at=moment)


@pytest.mark.django_db(transaction=True)
def test_no_lease_is_ended_directly_after_a_lock_on_the_tables_of_the_heartbeat(
    principal: Principal, settings: Any
) -> None:
    settings.AGENTAPP_LEASE_S, settings.AGENTAPP_HEARTBEAT_S = 10.0, 0.001
    task = workflows.submit(principal, kind="probe_fan", input={})
    job = Job.objects.get(workflow=task, type="probe_first")
    assert isinstance(take(job), Claimed)
    lease_of(job, Now() - timedelta(seconds=60))
    watch = rescuer.Watch()
    for table in ("agentapp_job", "agentapp_worker", "agentapp_limit"):
        with psycopg.connect(**connection.get_connection_params()) as other:
            other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            with database.waits_for_locks(within_s=0.01), pytest.raises(DatabaseBusy):
                watch.rescue_expired()
            assert watch.asked_s is not None
            # It has been so for long.
            watch.asked_s -= 10
        assert watch.rescue_expired() == 0
        assert watch.is_blind()
        watch.blind_until_s = 0.0
