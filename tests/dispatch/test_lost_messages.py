"""A message that is lost is told from one that waits, and a broker that has forgotten from one that is slow. [D4]"""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis

from agentapp.dispatch import broker as notes
from agentapp.dispatch import rescuer
from agentapp.dispatch.brokers import entries
from agentapp.dispatch.brokers import redis as redis_lists
from agentapp.models import Job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.dispatch.message_reader import MessageReader, lists

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]


def submit(principal: Principal, clock, count: int) -> list[Job]:
    """Submit tasks, two seconds apart, and return their jobs."""
    jobs = []
    for _ in range(count):
        clock.advance(2)
        workflow = workflows.submit(principal, kind="probe_loop", input={})
        jobs.append(Job.objects.get(workflow=workflow))
    return jobs


def queue_of(client: redis.Redis) -> str:
    (name,) = [name for name in lists("model") if client.exists(name)]
    return name


def publishes(jobs: list[Job]) -> list[int]:
    return [Job.objects.get(pk=job.pk).publishes for job in jobs]


def test_a_message_that_should_have_left_before_the_oldest_is_lost(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    jobs = submit(principal, clock, 5)
    # Workers read at the right end: the two oldest messages vanish, as with a worker that is killed before its claim.
    broker.rpop(queue_of(broker), 2)
    clock.advance(2)

    assert rescuer.publish_again() == 2
    assert publishes(jobs) == [2, 2, 1, 1, 1]
    assert rescuer.publish_again() == 0


def test_a_backlog_that_only_waits_is_left_alone(principal: Principal, message_reader: MessageReader, clock) -> None:
    jobs = submit(principal, clock, 30)
    clock.advance(3600)

    assert rescuer.publish_again() == 0
    assert publishes(jobs) == [1] * 30


def test_garbage_at_the_head_of_the_queue_hides_nothing_forever(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    jobs = submit(principal, clock, 3)
    queue = queue_of(broker)
    broker.rpop(queue, 3)
    broker.rpush(queue, *[b"no message"] * entries.LOOKED_AT)
    clock.advance(2)
    assert rescuer.publish_again() == 0

    clock.advance(10)
    assert rescuer.publish_again() == 3
    assert publishes(jobs) == [2] * 3


def test_an_empty_list_is_no_place_to_wait(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    submit(principal, clock, 3)
    broker.flushdb()
    clock.advance(2)

    assert rescuer.publish_again() == 3


def test_a_flush_is_noticed_at_the_next_tick(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    sentinel = rescuer.Sentinel()
    jobs = submit(principal, clock, 3)
    clock.advance(0.1)
    assert sentinel.refill() == 3  # nobody has left a note yet: it may have been flushed before this dispatcher began
    assert sentinel.refill() == 0

    broker.flushdb()
    clock.advance(0.1)
    assert sentinel.refill() == 3
    assert len(message_reader.waiting()) == 3
    assert sentinel.refill() == 0
    assert publishes(jobs) == [3] * 3


def test_a_broker_that_came_back_with_an_older_state_gets_what_it_has_lost(
    principal: Principal, message_reader: MessageReader, broker: redis.Redis, clock
) -> None:
    sentinel = rescuer.Sentinel()
    sentinel.refill()
    old = submit(principal, clock, 2)
    clock.advance(5)
    sentinel.refill()
    kept = {name: broker.dump(name) for name in broker.scan_iter()}
    new = submit(principal, clock, 2)
    clock.advance(5)
    sentinel.refill()

    broker.flushdb()
    for name, value in kept.items():
        broker.restore(name, 0, value)  # type: ignore[arg-type]
    clock.advance(0.1)

    assert sentinel.refill() == 2
    assert publishes(old + new) == [1, 1, 2, 2]


def test_a_note_that_somebody_else_wrote_is_no_note(broker: redis.Redis, clock) -> None:
    broker.set(redis_lists.SENTINEL, "forged")

    assert notes.sentinel() is None


def test_postgres_that_was_away_makes_the_watch_look_away(
    principal: Principal, message_reader: MessageReader, clock
) -> None:
    watch = rescuer.Watch()
    watch.look_away()

    assert watch.is_blind()
    assert watch.rescue_silent() == 0


def test_times_of_the_test_clock_reach_the_rows(principal: Principal, message_reader: MessageReader, clock) -> None:
    (job,) = submit(principal, clock, 1)

    assert job.published_at == clock.now()
    assert clock.now() - job.published_at < timedelta(seconds=1)
