"""Celery's settings, each with its reason. None of them is for deployments to change."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import parse_url

# Registered for the schemes of the broker's address. A transport that is chosen by its class path hides the scheme:
# kombu then speaks plain text to rediss://, and Flower does not know the broker.
_TRANSPORT = "agentapp.dispatch.transport:Transport"
TRANSPORT_ALIASES.update(redis=_TRANSPORT, rediss=_TRANSPORT)


def settings() -> dict[str, Any]:
    """Celery's settings by their names."""
    return {
        "broker_url": django.BROKER_URL,
        # The transport reads TLS from the URL; Flower reads it here.
        "broker_use_ssl": parse_url(django.BROKER_URL).get("ssl") if django.BROKER_URL else None,
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
        "worker_disable_prefetch": True,
        "broker_transport_options": _transport_options(),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # The web answers fast when the broker is down; the dispatcher publishes what is left over.
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.1},
        "task_default_queue": "model",
        # Flower lists a task when a worker receives it; an event of the sender would be a second message for each.
        "task_send_sent_event": False,
        "worker_hijack_root_logger": False,
    }


def _transport_options() -> dict[str, Any]:
    return {
        # No redelivery by the broker: see agentapp/dispatch/transport.py.
        "ack_emulation": False,
        # Of one priority, the queues of a worker take turns: in a fixed order the first would starve the others.
        "queue_order_strategy": "round_robin",
        "priority_steps": [0, 3, 6, 9],
        "socket_timeout": 15,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }
