"""Messages that workers take and never claim, such as those of a job type that they do not know."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from celery import current_app
from celery.exceptions import NotRegistered
from django_celery_results.models import TaskResult

from agentapp.dispatch import rescuer
from agentapp.dispatch.stager import Stager
from agentapp.models import Job, Workflow
from agentapp.services import reasons, workflows
from agentapp.services.principals import Principal
from tests.dispatch.message_reader import MessageReader

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]


def submit(principal: Principal, count: int = 1) -> list[Job]:
    found = [workflows.submit(principal, kind="probe_loop", input={}) for _ in range(count)]
    return list(Job.objects.filter(workflow__in=found).order_by("id"))


def take_messages(broker: redis.Redis, clock, *, seconds: int) -> None:
    """Let a worker take every message at once, and claim nothing, while the dispatcher ticks."""
    for _ in range(seconds):
        broker.flushdb()
        clock.advance(1)
        rescuer.publish_again()


def test_they_are_published_more_and_more_slowly(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    (job,) = submit(principal)

    take_messages(broker, clock, seconds=70)

    job.refresh_from_db()
    # After 1, 2, 4, 8, 16 and 32 seconds, each looked at a second later at most.
    assert 5 <= job.publishes <= 7


def test_nine_of_them_do_not_fill_the_runway(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    submit(principal, 9)
    take_messages(broker, clock, seconds=6)
    (other,) = submit(principal)
    Job.objects.filter(pk=other.pk).update(type="probe_other", published_at=None, publishes=0)

    Stager().admit()

    other.refresh_from_db()
    assert other.published_at is not None


def test_the_task_says_what_it_waits_for(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    (job,) = submit(principal)
    take_messages(broker, clock, seconds=6)

    (reason,) = reasons.blocked_by([Workflow.objects.get(pk=job.workflow_id)])[job.workflow_id]

    assert (reason["type"], reason["why"], reason["job_type"]) == ("queue", "not claimed", job.type)


def test_after_an_hour_it_is_a_dead_letter_with_the_reason(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    (job,) = submit(principal)
    past = clock.now() - timedelta(hours=2)
    Job.objects.filter(pk=job.pk).update(publishes=12, published_at=past, available_at=past)

    broker.flushdb()
    rescuer.publish_again()

    job.refresh_from_db()
    assert (job.state, (job.error or {})["class"]) == ("dead_lettered", "NotClaimed")
    assert f"do not know the job type {job.type}" in (job.error or {})["message"]
    assert Workflow.objects.get(pk=job.workflow_id).state == "needs_attention"


def test_the_count_stops_before_its_column_ends(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    first, second = submit(principal, 2)
    past = clock.now() - timedelta(minutes=10)
    Job.objects.filter(pk=first.pk).update(publishes=32_767, published_at=past)
    Job.objects.filter(pk=second.pk).update(published_at=past)
    clock.advance(2)

    broker.flushdb()
    assert rescuer.publish_again() == 2
    first.refresh_from_db()
    assert first.publishes == 1_000


def test_old_messages_of_one_queue_hide_no_lost_one_of_another(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescuer, "BATCH", 3)
    waiting = submit(principal, 4)
    clock.advance(60)
    (lost,) = submit(principal)
    # Its message is gone; those of the other queue wait in their list.
    Job.objects.filter(pk=lost.pk).update(queue="send")
    clock.advance(2)

    rescuer.publish_again()

    lost.refresh_from_db()
    assert lost.publishes == 2
    assert {Job.objects.get(pk=job.pk).publishes for job in waiting} <= {1, 2}


def test_a_job_type_that_a_worker_does_not_have_leaves_no_result(db: None) -> None:
    current_app.backend.mark_as_failure("an id", NotRegistered("no_such_type"))
    assert not TaskResult.objects.exists()

    current_app.backend.mark_as_failure("an id", ValueError("something else"))
    assert TaskResult.objects.count() == 1
