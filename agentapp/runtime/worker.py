"""Who this worker process is, how it starts and ends, and the life of its database connections."""

from __future__ import annotations

import gc
import importlib
import resource
import signal
import threading
from typing import Any

from celery import signals
from django.conf import settings
from django.db import connections

from agentapp import conf, llm, registry
from agentapp.dispatch.brokers import choice
from agentapp.lifecycle import at_start
from agentapp.lifecycle.postgresql import limits
from agentapp.observability import alive, events, tracing
from agentapp.policies import connections as connection_budget
from agentapp.runtime import draining, failing
from agentapp.runtime.counters import counters
from agentapp.runtime.heartbeat import heartbeat
from agentapp.runtime.process import this
from agentapp.runtime.task_events import task_events


@signals.celeryd_after_setup.connect
def learn_identity(sender: str, instance: Any, **_: Any) -> None:
    alive.begin()
    limits.be("worker")
    events.listen(counters.happened)
    this.name = sender
    this.queues = tuple(instance.app.amqp.queues.consume_from)
    pool = instance.pool_cls if isinstance(instance.pool_cls, str) else instance.pool_cls.__module__
    this.prefork = "prefork" in pool
    # A child of a pool is a process of its own, with one slot.
    this.slots = 1 if this.prefork else instance.concurrency
    # Where nobody can read them, sending them is work for nothing.
    instance.task_events = instance.task_events and choice.chosen().capabilities.remote_control
    this.sends_events = bool(instance.task_events)
    calls_models = any(
        scope.startswith("model:") for queue in this.queues for scope in registry.worker_classes.get(queue, ())
    )
    if this.prefork:
        load(calls_models=calls_models)
        # Children inherit nothing that is open: two processes on one connection give each other wrong answers.
        connections.close_all()
        return
    tracing.install(sender)
    heartbeat.start(on_overrun=failing.overrun, on_drain=draining.begin)
    # Beside the first jobs, which may need no model: a worker that was restarted is needed at once.
    threading.Thread(target=load, kwargs={"calls_models": calls_models}, name="load", daemon=True).start()


def load(*, calls_models: bool) -> None:
    """Import what calls models, two seconds of it; once before a fork rather than in each child. See agentapp.llm.

    Then let the garbage collector pass over all that was loaded: modules stay, and looking through them stopped all
    threads for a tenth of a second each time.
    """
    if calls_models and _is_provider_set():
        llm.provider()
        importlib.import_module("genai_prices")
        importlib.import_module("jsonschema")
    gc.collect()
    gc.freeze()


def _is_provider_set() -> bool:
    """Tell whether settings name a provider. Where only rows do, the first call of one loads what calls it."""
    has_key = settings.AGENTAPP_MODEL_API_KEY != "offline"
    return bool(has_key or settings.AGENTAPP_MODEL_BASE_URL or settings.AGENTAPP_EMBEDDING_URL)


@signals.worker_ready.connect
def look_at_postgres(sender: Any, **_: Any) -> None:
    """By the parent of a prefork pool too, for its children."""
    slots = sender.pool.num_processes if this.prefork else this.slots
    at_start.look(connection_budget.of_worker(slots, pool_max=conf.db_pool_max(), prefork=this.prefork))


@signals.worker_process_init.connect
def begin_child(**_: Any) -> None:
    """A child of a prefork pool: limited in memory, with a heartbeat of its own, and not ended by a signal to all."""
    limit = conf.child_memory_mb() * 1024 * 1024
    if limit:
        # Celery reads its own cap only after a task has ended; this one holds within it.
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # One that is told to end alone drains too, rather than dying in the middle of a job.
    tracing.install(this.name)
    signal.signal(signal.SIGTERM, lambda number, frame: draining.begin(alone=True))
    heartbeat.start(on_overrun=failing.overrun, on_drain=draining.begin)


@signals.worker_process_shutdown.connect
def end_child(**_: Any) -> None:
    """A child of a prefork pool ends in order, without the hooks of Python's own end."""
    heartbeat.beat_last()
    tracing.flush()


@signals.worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Begin nothing new; bodies are told, and what does not end in time is handed back. [D6]"""
    events.emit("worker.draining", worker=this.name)
    draining.begin()


@signals.worker_shutdown.connect
def say_the_last(**_: Any) -> None:
    """The main loop, which sent the events of jobs, has ended."""
    task_events.flush()
    heartbeat.beat_last()
    tracing.flush()
