"""Task events of jobs that ran in place, so that Flower lists each under its own name."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import Task
from celery.events.event import get_exchange

from agentapp.dispatch.broker_pool import pool
from agentapp.lifecycle.opened import Claimed
from agentapp.observability import events
from agentapp.runtime.process import this


class StepEvents:
    """Collects the events of one message and sends them as one; nothing when the worker runs without -E."""

    def __init__(self, task: Task[Any, Any]) -> None:
        self._task = task
        self._events: list[dict[str, Any]] = []

    def add(self, job: Claimed, seconds: float, word: str) -> None:
        """A job ran in place for `seconds` and ended in `word`."""
        if not this.sends_events:
            return
        ended = time.time()
        common = {"uuid": str(job.token), "hostname": this.name, "pid": this.pid, "utcoffset": 0}
        received = {"name": job.type, "args": f"('{job.id}',)", "kwargs": "{}", "retries": 0, "eta": None}
        clock: Any = self._task.app.clock  # type: ignore[attr-defined]  # missing in the stubs
        for type, timestamp, more in (
            ("task-received", ended - seconds, received | {"root_id": self._task.request.root_id}),
            ("task-started", ended - seconds, {}),
            ("task-succeeded", ended, {"result": repr(word), "runtime": seconds}),
        ):
            self._events.append(
                {"type": type, "timestamp": timestamp, "clock": clock.forward(), **common, **more}
            )  # fmt: skip

    def flush(self) -> None:
        """Send what was collected in one message. An event that is lost is only missing from Flower."""
        if not self._events:
            return
        app = self._task.app
        try:
            with pool.producer() as producer:
                exchange = get_exchange(producer.connection, name=app.conf.event_exchange)
                producer.publish(
                    self._events, routing_key="task.multi", exchange=exchange.name, declare=[exchange],
                    headers={"hostname": this.name}, serializer="json",
                )  # fmt: skip
        except ConnectionError as error:
            events.emit("publish.failed", level=logging.DEBUG, error=error)
