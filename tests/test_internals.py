"""What we rely on inside of Celery and kombu, which they promise to nobody: a changed line is read before it is used.

A failure names what has changed. Read the new source, see whether ours still fits, and put the new digest here.
"""

from __future__ import annotations

import hashlib
import inspect
import tomllib
from importlib.metadata import version
from typing import Any

import pytest
from celery.app import amqp
from celery.concurrency import thread
from celery.worker import consumer, loops, state, strategy
from celery.worker.consumer import tasks
from kombu.asynchronous.hub import Hub
from kombu.transport import redis, virtual
from packaging.specifiers import SpecifierSet

from agentapp.local.stack import CHECKOUT

CHANNEL: Any = redis.Channel
PUBLISH_BATCH: Any = redis.PublishBatch  # type: ignore[attr-defined]  # missing in the stubs

RELIED_ON: dict[str, tuple[Any, str]] = {
    # runtime/arrivals.py: what a loop does before it waits.
    "Hub.call_soon": (Hub.call_soon, "ec0433083ce8db41"),
    "Hub.create_loop": (Hub.create_loop, "bc5b3f9d66b99d45"),
    # runtime/strategy.py: what a strategy is given, what it has to keep, and how a pool of threads runs something.
    "strategy.default": (strategy.default, "7d90575ada5eb1dc"),
    "Consumer.create_task_handler": (consumer.Consumer.create_task_handler, "292c5a681f10ade7"),
    "Consumer.on_close": (consumer.Consumer.on_close, "e96d425dce0ae6a3"),
    "Consumer.cancel_active_requests": (consumer.Consumer.cancel_active_requests, "e4d13603d8d809f4"),
    "state.task_reserved": (state.task_reserved, "d5a1d0414f0acf80"),
    "state.task_accepted": (state.task_accepted, "fc90a50f0449584f"),
    "state.task_ready": (state.task_ready, "ad25f2985520adf2"),
    "thread.TaskPool": (thread.TaskPool, "9cca18119cb946cd"),
    # runtime/consumer.py: where a full worker is told apart from one with a free slot.
    "Tasks.start": (tasks.Tasks.start, "e0165bf1d620fb60"),
    "loops.asynloop": (loops.asynloop, "05a53e51998887ca"),
    # dispatch/receiving.py and dispatch/transport.py: how messages are read, delivered and forgotten.
    "Channel._brpop_start": (CHANNEL._brpop_start, "06723d707ddf2240"),
    "Channel._brpop_read": (CHANNEL._brpop_read, "c42518699709f2df"),
    "Channel._poll_error": (CHANNEL._poll_error, "2c941c0124b99fab"),
    "Channel.conn_or_acquire": (CHANNEL.conn_or_acquire, "25883caca6c4121e"),
    "MultiChannelPoller": (redis.MultiChannelPoller, "0530f30a9dec1cde"),
    "PublishBatch": (PUBLISH_BATCH, "94e63c589c36243e"),
    "Transport._deliver": (virtual.Transport._deliver, "799e242f3ec53863"),
    # dispatch/publisher.py: the message of a task.
    "AMQP.as_task_v2": (amqp.AMQP.as_task_v2, "5efb2a7a30d33e9e"),
}


@pytest.mark.parametrize("name", RELIED_ON)
def test_a_part_that_we_rely_on_is_as_it_was_read(name: str) -> None:
    part, digest = RELIED_ON[name]
    assert hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("package", ["celery", "kombu"])
def test_only_versions_that_were_read_may_be_installed(package: str) -> None:
    wanted = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    (line,) = [line for line in wanted if line.startswith((f"{package}>", f"{package}["))]
    allowed = SpecifierSet(line[line.index(">") :])
    assert version(package) in allowed
    major, minor, *_ = version(package).split(".")
    assert f"{major}.{int(minor) + 1}" not in allowed
