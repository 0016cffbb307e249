"""kombu's AMQP transport, with our order of priorities."""

from __future__ import annotations

from typing import Any

from kombu.transport import pyamqp

from agentapp.dispatch.brokers.rabbitmq import MOST_URGENT
from agentapp.policies import priority as priorities


class Channel(pyamqp.Channel):
    def prepare_message(self, body: Any, priority: int | None = None, *args: Any, **more: Any) -> Any:
        """0 is our most urgent priority, and RabbitMQ's least."""
        level = None if priority is None else MOST_URGENT - priorities.of_broker(priority)
        return super().prepare_message(body, level, *args, **more)


class Connection(pyamqp.Connection):
    Channel = Channel


class Transport(pyamqp.Transport):
    Connection = Connection


class TlsTransport(pyamqp.SSLTransport):
    Connection = Connection
