"""Publishing after commit. It is the fast path: what fails here, the dispatcher publishes later."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import Any
from uuid import UUID

from django.db import transaction

from agentapp import failpoints
from agentapp.dispatch import canvas, waking
from agentapp.dispatch.broker_pool import pool
from agentapp.dispatch.brokers import choice
from agentapp.dispatch.canvas import Message
from agentapp.lifecycle.opened import Link, Opened
from agentapp.observability import events
from agentapp.policies.priority import URGENT

# A queue to which the broker does not let this process write is tried again after so long.
REFUSED_S = 60.0

# The Celery task of runtime.clean_up: a message about a job that is over, and no job itself.
CLEAN_UP = "agentapp.clean_up"


class Batch:
    """Messages that are sent together, once: one trip to the broker, where its transport can do that."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._holds = False

    def add(self, opened: Opened | None) -> bool:
        """Take what a move opened; False when there is nothing. What cannot be written as messages raises and is left
        out."""
        if opened is None:
            return False
        self._messages += canvas.messages(opened)
        self._holds = self._holds or bool(opened.held)
        return True

    def __len__(self) -> int:
        return len(self._messages)

    def send(self) -> bool:
        """Publish what was added. False when the broker did not take it, or not all: the rows say what is due.

        The dispatcher is woken for what is held back.
        """
        if self._holds:
            waking.wake()
        mine = [message for message in self._messages if not _refused.holds(message.queue)]
        if len(mine) < len(self._messages):
            waking.wake()
        return _send(mine) and len(mine) == len(self._messages)


def publish(opened: Opened | None) -> bool:
    """Publish what a move opened, once its transaction has committed. False when the broker did not take it."""
    batch = Batch()
    if not batch.add(opened):
        return True
    # Django would take a connection out of the pool to find out that there is no transaction, and keep it.
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(batch.send)
        return True
    return batch.send()


def publish_clean_up(job_id: UUID, *, queue: str) -> bool:
    """Ask a worker of a queue to clean up after a cancelled job. False when the broker did not take it."""
    return publish(Opened((Link(str(job_id), CLEAN_UP, queue, URGENT),)))


class Refused:
    """Queues to which the broker's user of this process may not write: the dispatcher finds what is due there."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    def holds(self, queue: str) -> bool:
        return self._until_s.get(queue, 0.0) > time.monotonic()

    def add(self, queue: str, error: Exception) -> None:
        if queue not in self._until_s:
            events.emit("publish.refused", level=logging.WARNING, queue=queue, error=error)
        self._until_s[queue] = time.monotonic() + REFUSED_S
        waking.wake()


_refused = Refused()


def _send(messages: list[Message]) -> bool:
    if not messages:
        return True
    try:
        with pool.producer() as producer:
            _write(producer, messages)
    except ConnectionError as error:
        events.emit("publish.failed", level=logging.WARNING, error=error)
        return False
    except PermissionError as error:
        queues = sorted({message.queue for message in messages})
        if len(queues) > 1:
            # One of them. What was written to the others comes twice, which has no effect.
            sent = [_send([message for message in messages if message.queue == queue]) for queue in queues]
            return all(sent)
        _refused.add(queues[0], error)
        return False
    return True


def _write(producer: Any, messages: list[Message]) -> None:
    exchange = choice.chosen().exchange
    producer.declare_once({message.queue for message in messages})
    with producer.batch() if len(messages) > 1 else nullcontext():
        for message in messages:
            failpoints.hit("publish.before", message.task)
            producer.publish(
                message.body,
                content_type="application/json",
                content_encoding="utf-8",
                exchange=exchange(message.queue),
                routing_key=message.queue,
                headers=message.headers,
                priority=message.priority,
                delivery_mode=2,
                # No second try here: the client of the web waits, and the dispatcher publishes what is left over.
                retry=False,
                correlation_id=message.id,
                reply_to="",
            )
    for message in messages:
        failpoints.hit("publish.after", message.task)
