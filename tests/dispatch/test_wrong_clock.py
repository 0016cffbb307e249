"""The clock of a machine is wrong by an hour, and Postgres's is right: nothing waits for that or is done too early."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
import redis
from django.db.models.functions import Now

from agentapp import clock as machine
from agentapp.dispatch import cleaner, rescuer
from agentapp.dispatch.measurer import Measurer
from agentapp.lifecycle.opened import Refused
from agentapp.models import Job, Limit, Worker
from agentapp.services import api_keys, workflows
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.dispatch.message_reader import MessageReader
from tests.lifecycle.test_gates import take

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

HOUR = timedelta(hours=1)


@pytest.fixture(params=[-1, 1], ids=["slow", "fast"], autouse=True)
def wrong_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[timedelta]:
    """What this machine takes for the time, and Postgres does not."""
    error = request.param * HOUR

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + error

    monkeypatch.setattr(machine, "datetime", Wrong)
    yield error


def waiting_for(principal: Principal, count: int) -> list[Job]:
    tasks = [workflows.submit(principal, kind="probe_loop", input={}) for _ in range(count)]
    return list(Job.objects.filter(workflow__in=tasks, state="available"))


def publishes(jobs: list[Job]) -> list[int]:
    return [Job.objects.get(pk=job.pk).publishes for job in jobs]


def test_a_lost_message_is_published_again_and_then_waited_for(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis
) -> None:
    jobs = waiting_for(principal, 3)
    broker.flushdb()
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(published_at=Now() - timedelta(seconds=5),
                                                               available_at=Now() - timedelta(seconds=5))  # fmt: skip

    assert rescuer.publish_again() == 3
    broker.flushdb()
    # However long this takes: by the clock of Postgres it was published a moment ago.
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(published_at=Now() + timedelta(minutes=10))
    assert rescuer.publish_again() == 0
    assert publishes(jobs) == [2] * 3


def test_a_broker_that_has_forgotten_is_refilled_once(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis
) -> None:
    sentinel = rescuer.Sentinel()
    jobs = waiting_for(principal, 3)
    sentinel.refill()
    before = publishes(jobs)

    broker.flushdb()
    assert sentinel.refill() == 3
    assert sentinel.refill() == 0
    assert publishes(jobs) == [number + 1 for number in before]


def test_a_clean_up_is_asked_for_when_it_is_due_and_not_before(
    principal: Principal, message_reader: MessageReader
) -> None:
    due, early = waiting_for(principal, 2)
    for job, moment in ((due, Now() - timedelta(seconds=1)), (early, Now() + timedelta(seconds=600))):
        Job.objects.filter(pk=job.pk).update(state="cancelled", clean_up_at=moment, finished_at=Now())

    assert cleaner.clean_up_left_over() == 1
    assert cleaner.clean_up_left_over() == 0
    until(lambda: any(str(due.pk) in letter.args for letter in message_reader.waiting()), "a worker is asked")


def test_the_slots_of_living_workers_are_counted(principal: Principal) -> None:
    for number, seen_at in ((1, Now()), (2, Now() - timedelta(seconds=600))):
        Worker.objects.create(
            id=number, name="worker", pool="threads", slots=8, queues=["model"], counts={}, jobs=0,
            started_at=seen_at, seen_at=seen_at,
        )  # fmt: skip
    Measurer().measure()

    assert Limit.objects.get(key="queue:model").slots == 8


def test_jobs_of_a_revoked_key_do_not_run(principal: Principal) -> None:
    (job,) = waiting_for(principal, 1)
    assert principal.api_key is not None
    api_keys.revoke(principal.api_key)

    assert take(job) == Refused("permission")
