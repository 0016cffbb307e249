"""Celery's task events of jobs, so that Flower lists each under its own name, those that ran in place as well.

They are kept as plain dictionaries and sent many at once: by the main loop of a worker with threads, at the end of each
message in a child of a pool. An event that is lost is only missing from Flower.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from functools import cache
from typing import Any

from celery import current_app
from celery.events.event import get_exchange
from celery.utils.time import utcoffset

from agentapp.dispatch.broker_pool import pool
from agentapp.lifecycle.opened import Claimed
from agentapp.observability import events
from agentapp.runtime.process import this

Event = dict[str, Any]

# What a broker that is away may cost in memory: the oldest are forgotten.
MOST_KEPT = 10_000
# One message holds so many.
MOST_IN_ONE = 500


class TaskEvents:
    """What has happened and is not sent yet. Any thread may add."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=MOST_KEPT)

    def add(self, type: str, uuid: str, *, at_s: float | None = None, **fields: Any) -> None:
        """Keep an event of the message or attempt `uuid`, which happened now or `at_s`, in seconds since 1970."""
        at_s = time.time() if at_s is None else at_s
        self._kept.append({"type": type, "uuid": uuid, "timestamp": at_s, "clock": _forward(), **fields})

    def received(self, uuid: str, *, name: str, job: str, root: str | None, at_s: float | None = None) -> None:
        """A worker has a message about a job, or goes on with it in place."""
        self.add(
            "task-received", uuid, at_s=at_s, name=name, args=f"('{job}',)", kwargs="{}", root_id=root, parent_id=None,
            retries=0, eta=None, expires=None,
        )  # fmt: skip

    def ran_in_place(self, job: Claimed, seconds: float, word: str, *, root: str | None) -> None:
        """A job ran in place for `seconds` and ended in `word`."""
        token, ended = str(job.token), time.time()
        self.received(token, name=job.type, job=str(job.id), root=root, at_s=ended - seconds)
        self.add("task-started", token, at_s=ended - seconds)
        self.succeeded(token, word, seconds)

    def succeeded(self, uuid: str, word: str, seconds: float) -> None:
        self.add("task-succeeded", uuid, result=repr(word), runtime=seconds)

    def flush(self) -> None:
        """Send what is kept. Never raises."""
        while self._kept:
            # What all of them say is added to them here, once.
            sender = {"hostname": this.name, "pid": this.pid, "utcoffset": utcoffset()}
            batch = [sender | self._kept.popleft() for _ in range(min(len(self._kept), MOST_IN_ONE))]
            try:
                with pool.producer() as producer:
                    exchange = get_exchange(producer.connection, name=current_app.conf.event_exchange)
                    producer.publish(
                        batch, routing_key="task.multi", exchange=exchange.name, declare=[exchange],
                        headers={"hostname": this.name}, serializer="json",
                    )  # fmt: skip
            except (ConnectionError, PermissionError) as error:
                events.emit("publish.failed", level=logging.DEBUG, error=error)
                return


@cache
def _clock() -> Any:
    return current_app.clock  # type: ignore[attr-defined]  # missing in the stubs


def _forward() -> int:
    """One more tick of Celery's logical clock, by which Flower orders what happened at the same time."""
    tick: int = _clock().forward()
    return tick


task_events = TaskEvents()
