"""Two leaders at the same moment, as beside a release that leads by a lock: nothing happens twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from agentapp.dispatch import rescuer, stager
from agentapp.dispatch.duty import Duty
from agentapp.lifecycle.claim import claim
from agentapp.models import Attempt, History, Job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.dispatch.message_reader import MessageReader

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

JOBS = 30


def both(*steps) -> int:
    """Let two leaders do a round of the same duty at the same time, and return how much they moved in all."""
    start = threading.Barrier(2)
    moved: list[int] = []

    def lead() -> None:
        start.wait()
        moved.append(Duty("both", steps, lambda: 60.0).round(lambda: True))
        connection.close()

    threads = [threading.Thread(target=lead) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(moved)


def all_of(step: Callable[[], int]) -> int:
    """Let both do rounds until all is moved, and return how much that was: a row that the other one holds for a tenth
    of a second, as it may on a busy machine, is passed over and tried again."""
    moved: list[int] = []

    def is_over() -> bool:
        moved.append(both(step))
        return sum(moved) >= JOBS

    until(is_over, "all is moved")
    return sum(moved)


@pytest.fixture
def jobs(principal: Principal, message_reader: MessageReader) -> list[Job]:
    found = [workflows.submit(principal, kind="probe_loop", input={}) for _ in range(JOBS)]
    return list(Job.objects.filter(workflow__in=found))


def test_each_retry_is_made_due_once(jobs: list[Job]) -> None:
    Job.objects.update(state="retryable", scheduled_at=Now() - timedelta(seconds=60))

    assert all_of(stager.make_due) == JOBS

    made = Counter(History.objects.filter(from_state="retryable").values_list("job_id", flat=True))
    assert made == Counter(job.pk for job in jobs)


def test_each_lost_attempt_is_ended_once(jobs: list[Job]) -> None:
    for number, job in enumerate(jobs):
        claim(str(job.pk), worker="w", queues=["model"], lease_s=15, process=number + 1)
    Job.objects.update(lease_expires_at=Now() - timedelta(seconds=60))

    assert all_of(rescuer.Watch(believes_at_once=True).rescue_expired) == JOBS

    assert set(Job.objects.values_list("state", "attempt")) == {("available", 1)}
    assert Attempt.objects.filter(outcome="lost").count() == JOBS


def test_each_job_that_queues_is_admitted_once(jobs: list[Job]) -> None:
    Job.objects.update(published_at=None, publishes=0)

    both(lambda: stager.Stager().admit())

    assert set(Job.objects.exclude(published_at=None).values_list("publishes", flat=True)) == {1}
