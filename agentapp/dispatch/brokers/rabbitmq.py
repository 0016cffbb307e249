"""RabbitMQ: durable classic queues with priorities.

A worker is sent as many messages as it has slots, less those that it has not acknowledged. So a job's message is
acknowledged when the job has ended: acknowledged at its beginning, a worker would get as many again and keep them in
memory. What a worker had when its connection ended is delivered to another one, whose claim finds the job running, and
does nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from amqp.exceptions import AccessRefused

from agentapp.dispatch.brokers.base import ANSWER_S, PROBE, UNSEEN, Broker, Capabilities, Sees, Waiting
from agentapp.policies import priority

# RabbitMQ keeps a list for each priority up to this; ours are 0, 3, 6 and 9, and the first is the most urgent.
MOST_URGENT = len(priority.NAMES) - 1
_CHECKS = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
_FILES = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}


class RabbitMQ(Broker):
    capabilities = Capabilities(
        name="RabbitMQ",
        sees=Sees.COUNT,
        keeps_priorities=True,
        order="first in, first out; what a worker gave back goes first",
        longest_delay_s=0,
        remote_control=True,
        acknowledges_late=True,
    )
    transports = {
        "amqp": "agentapp.dispatch.brokers.rabbitmq_transport:Transport",
        "amqps": "agentapp.dispatch.brokers.rabbitmq_transport:TlsTransport",
    }

    def short_options(self, url: str) -> dict[str, Any]:
        waits = {"connect_timeout": ANSWER_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S}
        # Unconfirmed, a message that was not taken is found by its age only.
        return {**waits, "confirm_publish": True}

    def settings(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        return {
            "broker_url": urlunsplit(parts._replace(query="")),
            "broker_use_ssl": _tls(url) if parts.scheme == "amqps" else None,
            "broker_heartbeat": 20,
            "task_acks_late": True,
            "task_queue_max_priority": MOST_URGENT,
            # Celery knows that of Redis alone, and warns.
            "worker_disable_prefetch": False,
            "broker_transport_options": {},
        }

    def exchange(self, queue: str) -> str:
        """Who may write there may put messages into that queue alone: the nameless exchange leads into all."""
        return exchange_name(queue)

    def declare(self, channel: Any, queue: Any) -> None:
        """A user who may not declare finds the queue declared by others. A refusal ends the channel it is told on."""
        with channel.connection.channel() as apart, suppress(AccessRefused):
            queue.bind(apart).declare()

    def waiting(self, channel: Any, queue: str, priority: int) -> Waiting:
        """Declared as everywhere, not only looked at: a queue that somebody has deleted is made again."""
        return UNSEEN if _declared(channel, queue) else Waiting(0)

    def purge(self, channel: Any, queues: Collection[str]) -> int:
        for queue in queues:
            _declared(channel, queue)
        return super().purge(channel, queues)

    def probe(self, channel: Any) -> None:
        """One that has run out of memory or disk accepts connections, and confirms no message."""
        # No queue is bound there: what is confirmed is not kept.
        channel.exchange_declare(PROBE, "fanout", durable=False, auto_delete=False)
        channel.basic_publish(channel.prepare_message(b"written by a probe"), exchange=PROBE)


def exchange_name(queue: str) -> str:
    return f"agentapp.{queue}"


def _declared(channel: Any, queue: str) -> int:
    """Declare a queue as workers do, and return how many messages wait there."""
    arguments = {"x-max-priority": MOST_URGENT}
    declared = channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
    if not (declared.message_count or declared.consumer_count):
        # It may be new: messages for it would be confirmed, and dropped by an exchange that does not know it.
        channel.exchange_declare(exchange_name(queue), "direct", durable=True, auto_delete=False)
        channel.queue_bind(queue, exchange_name(queue), routing_key=queue)
    return int(declared.message_count)


def _tls(url: str) -> dict[str, Any]:
    """Return what py-amqp takes for TLS. The server's certificate and its name are checked unless the address says
    otherwise."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    found: dict[str, Any] = {_FILES[name]: value for name, value in given.items() if name in _FILES}
    found["cert_reqs"] = _CHECKS[given.get("ssl_cert_reqs", "required")]
    if given.get("ssl_check_hostname", "true") == "true":
        found["server_hostname"] = parts.hostname
    return found


BROKER = RabbitMQ()
