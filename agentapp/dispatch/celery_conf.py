"""Celery's settings, each with its reason. None of them is for deployments to change."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from celery.app.amqp import AMQP
from django.conf import settings as django
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange
from kombu.transport import TRANSPORT_ALIASES

from agentapp.dispatch.brokers import choice


class Amqp(AMQP):
    """Celery's queues, with the exchange that the broker has for each; without one, that of the queue's name."""

    def autoexchange(self, queue: str) -> Exchange:  # type: ignore[override]  # a function, as its comment says
        return Exchange(choice.chosen().exchange(queue) or queue)

    @cached_property
    def default_exchange(self) -> Exchange:
        return self.autoexchange(self.app.conf.task_default_queue)


def settings() -> dict[str, Any]:
    """Celery's settings by their names.

    Raises:
        ImproperlyConfigured: what speaks to the broker is not installed.
    """
    if missing := choice.missing(django.BROKER_URL):
        raise ImproperlyConfigured(missing)
    broker = choice.chosen()
    # Registered for the schemes of the broker's address. A transport that is chosen by its class path hides the scheme:
    # kombu then speaks plain text to rediss://, and Flower does not know the broker.
    TRANSPORT_ALIASES.update(broker.transports)
    reaches_all = {} if broker.capabilities.remote_control else {"worker_enable_remote_control": False}
    return _common() | reaches_all | broker.settings(django.BROKER_URL)


def _common() -> dict[str, Any]:
    return {
        "broker_url": django.BROKER_URL,
        "result_backend": "agentapp.dispatch.backend.PostgresBackend",
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "timezone": "UTC",
        # The lease in Postgres is the acknowledgement that counts. With acks_late a worker dies for good when the
        # broker restarts under a running task, and a lost connection starts the task a second time beside the first.
        "task_acks_late": False,
        "task_ignore_result": True,
        # A job in a worker's memory is a job that nobody else can take, and that priorities cannot overtake.
        "worker_consumer": "agentapp.runtime.consumer:Consumer",
        # A pool child that died left no result behind that anybody waits for: say so at once.
        "worker_lost_wait": 0.5,
        "worker_prefetch_multiplier": 1,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # The web answers fast when the broker is down; the dispatcher publishes what is left over.
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.1},
        "task_default_queue": "model",
        # Flower lists a task when a worker receives it; an event of the sender would be a second message for each.
        "task_send_sent_event": False,
        "worker_hijack_root_logger": False,
    }
