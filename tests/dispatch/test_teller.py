"""Telling which tasks have changed is dispensable: nothing that goes wrong with it costs a task or memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from pytest_django import Settings

from agentapp.dispatch.teller import CHANNEL, Teller


@pytest.fixture
def refused(broker: redis.Redis, settings: Settings) -> Iterator[str]:
    """The name of a user that may not publish; the broker's address is that of the user."""
    broker.execute_command("ACL", "SETUSER", "mute", "reset", "on", ">secret", "~*", "&*", "+@all", "-publish")
    address = urlsplit(os.environ["REDIS_URL"])
    settings.BROKER_URL = urlunsplit(address._replace(netloc=f"mute:secret@{address.hostname}:{address.port}"))
    yield "mute"
    broker.execute_command("ACL", "DELUSER", "mute")


def until_told(teller: Teller, tasks: set[str]) -> None:
    """Tell of tasks, and wait until they are taken."""
    teller.tell(tasks)
    deadline = time.monotonic() + 120
    while teller._tasks and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_broker_that_refuses_is_tried_again_and_nothing_piles_up(refused: str, broker: redis.Redis) -> None:
    teller = Teller()
    channel = broker.pubsub()
    channel.subscribe(CHANNEL)
    for number in range(3):
        until_told(teller, {f"task {number}"})
    assert teller._tasks == set()

    broker.execute_command("ACL", "SETUSER", refused, "+publish")
    deadline = time.monotonic() + 120
    found = None
    while not (found and found["type"] == "message") and time.monotonic() < deadline:
        teller.tell({"another"})
        found = channel.get_message(timeout=0.2)

    assert found and found["data"] == b'["another"]'
    channel.close()


def test_an_address_that_cannot_be_used_keeps_no_tasks(settings: Settings) -> None:
    settings.BROKER_URL = "redis+socket:///nowhere"
    teller = Teller()
    threading.excepthook, before = lambda _: None, threading.excepthook
    try:
        teller.tell({"first"})
        assert teller._thread is not None
        teller._thread.join(120)
    finally:
        threading.excepthook = before
    kept = len(teller._tasks)

    teller.tell({"second", "third"})

    assert len(teller._tasks) == kept


def test_without_a_thread_left_a_change_is_not_told_and_no_move_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    teller = Teller()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    teller.tell({"first"})
    assert teller._tasks == set()

    monkeypatch.undo()
    teller.tell({"second"})
    assert teller._thread is not None


def test_a_child_of_a_fork_does_not_wait_for_a_lock_of_its_parent() -> None:
    teller = Teller()
    held = teller._circuit._lock

    teller._begin_again()

    assert teller._circuit._lock is not held
