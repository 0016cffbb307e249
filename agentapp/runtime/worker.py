"""Who this worker process is, and the life of its database connections."""

from __future__ import annotations

import importlib
import os
import socket
from dataclasses import dataclass
from typing import Any

from celery import signals
from django.db import connections

from agentapp import llm
from agentapp.observability import events
from agentapp.policies.permissions import WORKER_CLASS_SCOPES


@dataclass
class Worker:
    """`name` is Celery's node name, `queues` the worker classes that it serves, `prefork` whether bodies run in
    children with hard time limits."""

    name: str = f"inline@{socket.gethostname()}"
    queues: tuple[str, ...] = ()
    prefork: bool = False
    draining: bool = False
    sends_events: bool = False

    @property
    def actor(self) -> str:
        """Name with process id: what attempts and histories show."""
        return f"{self.name}:{self.pid}"

    @property
    def pid(self) -> int:
        return os.getpid()


this = Worker()


@signals.celeryd_after_setup.connect
def learn_identity(sender: str, instance: Any, **_: Any) -> None:
    this.name = sender
    this.queues = tuple(instance.app.amqp.queues.consume_from)
    pool = instance.pool_cls if isinstance(instance.pool_cls, str) else instance.pool_cls.__module__
    this.prefork = "prefork" in pool
    this.sends_events = bool(instance.task_events)
    if any(scope.startswith("model:") for queue in this.queues for scope in WORKER_CLASS_SCOPES.get(queue, ())):
        # Before the first job, and before the fork: see agentapp.llm.
        llm.provider()
        importlib.import_module("genai_prices")
    # Children inherit nothing that is open: two processes on one connection give each other wrong answers.
    connections.close_all()


@signals.worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Go on with nothing in place; Celery ends what runs. What was not begun stays in Postgres for the others."""
    this.draining = True
    events.emit("worker.draining", worker=this.name)
