"""What a worker with threads does with a message about a job.

Celery's own way with a message is made for tasks whose truth is the message: it minds eta, expiry, retries, results,
callbacks. Of a job all that is in its row, and minding it twice was a quarter of a worker's work. What people use
stays: task events, so Flower; `inspect` and its counts; `revoke` by id; the warm stop. Celery's signals of single tasks
(task_prerun and its like) are not sent. Prefork keeps Celery's own way, which its time limits need.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from celery import Task
from celery.exceptions import InvalidTaskError
from celery.worker import state
from celery.worker.strategy import default

from agentapp import clock
from agentapp.dispatch import publisher
from agentapp.dispatch.brokers import choice
from agentapp.lifecycle import database
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime import handover
from agentapp.runtime.bell import bell
from agentapp.runtime.claiming import PendingClaim
from agentapp.runtime.consumer import Consumer
from agentapp.runtime.process import this
from agentapp.runtime.task_events import task_events

JSON = "application/json"
_logger = logging.getLogger("celery.worker")


class JobRequest:
    """A message about a job, while this worker has it. Celery's remote control claims for these names."""

    # Celery's own requests carry an entry of a timer, stamps and a result; a job has none.
    stamped_headers: tuple[str, ...] = ()
    stamps: Mapping[str, Any] = {}

    def __init__(
        self,
        task: Task[Any, Any],
        message: Any,
        acknowledge: Callable[[], object],
        *,
        shows: bool,
        is_late: bool = False,
    ) -> None:
        headers = message.headers
        self.task, self.name, self.id = task, str(task.name), str(headers["id"])
        self.root_id = headers.get("root_id")
        self.job = _job_id(message)
        self.delivery_info = {
            "exchange": message.delivery_info.get("exchange"),
            "routing_key": message.delivery_info.get("routing_key"),
            "priority": message.properties.get("priority"),
            "redelivered": False,
        }
        self.time_start: float | None = None
        self.worker_pid: int | None = None
        self.acknowledged = False
        self._acknowledge = acknowledge
        self._shows = shows
        # Whether it is acknowledged when its job has ended, rather than when it begins.
        self._is_late = is_late
        self._began_s = 0.0

    def acknowledge(self) -> None:
        if not self.acknowledged:
            self.acknowledged = True
            self._acknowledge()

    def begin(self) -> None:
        """In a thread of the pool: the message is used up from here on."""
        self._began_s = time.monotonic()
        self.time_start, self.worker_pid = clock.now().timestamp(), this.pid
        state.task_accepted(self)
        if not self._is_late:
            self.acknowledge()
        if self._shows:
            task_events.add("task-started", self.id)

    def perform(self, pending: PendingClaim) -> None:
        """In a thread of the pool: run the job, publish what follows, and free the slot whatever happened."""
        try:
            with faults.caught(*Fault) as caught:
                word = self._run(pending)
            if caught.error is not None:
                self._failed(caught.error)
            elif self._shows:
                task_events.succeeded(self.id, word, time.monotonic() - self._began_s)
        finally:
            try:
                database.release()
            finally:
                self.acknowledge()
                state.task_ready(self)
                bell.ring()

    def _run(self, pending: PendingClaim) -> str:
        show = partial(task_events.ran_in_place, root=self.root_id)
        ran = handover.perform(self.name, pending, on_step=show if self._shows else None)
        publisher.publish(ran.opened)
        return ran.summary

    def _failed(self, error: Exception) -> None:
        """Nobody has foreseen it. The job's lease runs out, or its message is missed, and another one goes on."""
        trace = "".join(traceback.format_exception(error))
        events.emit("message.failed", level=logging.ERROR, job=self.job, type=self.name, trace=trace)
        if self._shows:
            task_events.add("task-failed", self.id, exception=repr(error), traceback=trace)

    def info(self, safe: bool = False) -> dict[str, Any]:
        """Describe it, as `celery inspect` shows it."""
        return {
            "id": self.id, "name": self.name, "args": [self.job], "kwargs": {}, "type": self.name,
            "hostname": this.name, "time_start": self.time_start, "acknowledged": self.acknowledged,
            "delivery_info": self.delivery_info, "worker_pid": self.worker_pid,
        }  # fmt: skip

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Refuse, as every pool of threads does: nothing from outside can end a thread."""
        raise NotImplementedError("A job in a thread cannot be terminated. Cancel its task: its body is told.")

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """Nothing to do at a cold stop: the drain hands the job back."""


def _job_id(message: Any) -> str:
    """Read the one argument of a job's message.

    Raises:
        InvalidTaskError: it is another one's message; Celery drops and reports it.
        kombu.exceptions.ContentDisallowed: its content is not JSON; Celery drops and reports it too.
    """
    try:
        # kombu would look at each object of it, for dates and the like.
        (job_id,), _, _ = json.loads(message.body) if message.content_type == JSON else message.payload
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidTaskError(f"The message of a job holds its id and nothing else: {error}") from error
    if not isinstance(job_id, str):
        raise InvalidTaskError("The message of a job holds its id, a text.")
    return job_id


def strategy(task: Task[Any, Any], app: Any, consumer: Any) -> Any:
    """Return what handles the messages of a job type in this worker: Celery's strategy, as it claims for it."""
    if not (isinstance(consumer, Consumer) and hasattr(consumer.pool, "executor")):
        return default(task, app, consumer)
    eventer = consumer.event_dispatcher
    revoked = consumer.controller.state.revoked
    arrivals = consumer.arrivals()
    is_late = choice.chosen().capabilities.acknowledges_late

    def receive(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        shows = bool(eventer and task.send_events and _sends_events(eventer))
        acknowledge = partial(ack, _logger, consumer.connection_errors)
        request = JobRequest(task, message, acknowledge, shows=shows, is_late=is_late)
        if shows:
            task_events.received(request.id, name=request.name, job=request.job, root=request.root_id)
        if request.id in revoked:
            request.acknowledge()
            if shows:
                task_events.add("task-revoked", request.id, terminated=False, signum=None, expired=False)
            return
        state.task_reserved(request)
        for callback in callbacks:
            callback(request)
        arrivals.add(request)

    return receive


def _sends_events(eventer: Any) -> bool:
    """Whether events of tasks are asked for: without -E they are not, until remote control enables them."""
    return bool(eventer.enabled and (not eventer.groups or "task" in eventer.groups))
