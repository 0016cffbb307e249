"""What one move opens, and what one look of the dispatcher admits, takes one trip to the broker; no message is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from agentapp.dispatch import publisher, stager, transport
from agentapp.dispatch.broker_pool import pool
from agentapp.ids import uuid7
from agentapp.lifecycle.opened import Link, Opened
from agentapp.policies.priority import NORMAL
from tests.dispatch.message_reader import MessageReader, lists
from tests.lifecycle.held_row import until

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 250
LIST_OF_NORMAL = 2


def link(queue: str) -> Link:
    return Link(str(uuid7()), "probe", queue, NORMAL)


def reads(broker: redis.Redis) -> int:
    """How often the server has read from a client."""
    return int(broker.info("stats")["total_reads_processed"])


@pytest.fixture
def warm(broker: redis.Redis) -> redis.Redis:
    """The broker, with a connection of ours and its queues declared."""
    for queue in ("model", "send"):
        assert publisher.publish(Opened((link(queue),)))
    broker.flushdb()
    return broker


def test_a_fan_out_is_sent_in_a_few_trips_and_in_its_order(warm: redis.Redis, message_reader: MessageReader) -> None:
    parts = tuple(link("model") for _ in range(MANY))
    before = reads(warm)
    assert publisher.publish(Opened(parts, (link("model"),)))
    assert reads(warm) - before < MANY / 2
    assert [letter.args[0] for letter in reversed(message_reader.waiting())] == [part.id for part in parts]


def test_a_worker_that_waits_is_given_the_parts_of_a_task_together(warm: redis.Redis) -> None:
    parts = tuple(link("model") for _ in range(3))
    keys = lists("model")
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(warm.blmpop, 30, len(keys), *keys, direction="RIGHT", count=8)
        until(lambda: any(client["cmd"] == "blmpop" for client in warm.client_list()))
        assert publisher.publish(Opened(parts))
        found: Any = taken.result()
    assert len(found[1]) == len(parts)


def test_only_what_lies_side_by_side_is_joined_and_no_command_is_long() -> None:
    commands: list[Any] = [(("LPUSH", key, text), {}) for key, text in ("a1", "a2", "b3", "a4")]
    expire: Any = (("PEXPIRE", "a", 5), {})
    assert transport._merged([*commands, expire, expire]) == [
        (("LPUSH", "a", "1", "2"), {}), (("LPUSH", "b", "3"), {}), (("LPUSH", "a", "4"), {}), expire, expire,
    ]  # fmt: skip
    many = transport._merged([(("LPUSH", "a", str(n)), {}) for n in range(1_000)])
    assert [text for (_, _, *texts), _ in many for text in texts] == [str(n) for n in range(1_000)]
    assert max(len(words) for words, _ in many) == transport.MOST_IN_ONE


def test_what_one_look_admits_takes_a_trip_for_each_queue(warm: redis.Redis, message_reader: MessageReader) -> None:
    admitted = [Opened((link(queue),)) for _ in range(MANY) for queue in ("model", "send")]
    before = reads(warm)
    assert stager._publish(admitted) == 2 * MANY
    assert reads(warm) - before < MANY / 2
    found = {letter.args[0] for letter in message_reader.waiting()}
    assert found == {opened.jobs[0].id for opened in admitted}


def test_a_queue_that_cannot_be_written_to_keeps_no_other_waiting(
    warm: redis.Redis, message_reader: MessageReader
) -> None:
    spoiled = lists("model")[LIST_OF_NORMAL]
    warm.set(spoiled, "somebody else's")
    admitted = [Opened((link(queue),)) for _ in range(3) for queue in ("model", "send")]
    try:
        assert stager._publish(admitted) == 3
    finally:
        warm.delete(spoiled)
        stager.QUEUES.aside.clear()
    assert [letter.queue for letter in message_reader.waiting()] == ["send"] * 3


def test_nothing_counts_as_sent_while_the_broker_is_away(warm: redis.Redis) -> None:
    pool.circuit.failed()
    try:
        assert stager._publish([Opened((link("model"),))]) == 0
        assert not publisher.publish(Opened((link("model"),)))
    finally:
        pool.circuit.succeeded()
