"""Who this worker process is, how it starts and ends, and the life of its database connections."""

from __future__ import annotations

import importlib
import resource
import signal
from typing import Any

from celery import signals
from django.db import connections

from agentapp import conf, llm
from agentapp.observability import events
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.runtime import draining
from agentapp.runtime.heartbeat import heartbeat
from agentapp.runtime.process import this


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
    if not this.prefork:
        heartbeat.start()


@signals.worker_process_init.connect
def begin_child(**_: Any) -> None:
    """A child of a prefork pool: limited in memory, with a heartbeat of its own, and not ended by a signal to all."""
    limit = conf.child_memory_mb() * 1024 * 1024
    if limit:
        # Celery reads its own cap only after a task has ended; this one holds within it.
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # Whoever stops the whole process group means the parent, which lets its children finish.
    signal.signal(signal.SIGTERM, lambda number, frame: draining.begin())
    heartbeat.start()


@signals.worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Begin nothing new; bodies are told, and what does not end in time is handed back. [D6]"""
    events.emit("worker.draining", worker=this.name)
    draining.begin()
