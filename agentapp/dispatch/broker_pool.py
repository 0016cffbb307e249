"""This process's connections to the broker for short requests: publishing, and looking into queues.

Apart from those on which a worker waits for messages, because nobody may wait long here: a broker that hangs instead of
failing must not keep a client of the web waiting, nor the dispatcher from other work. A circuit breaker for each
process lets one request in a while try a broker that has not answered; the others are told at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from django.conf import settings
from kombu import Producer as PlainProducer

from agentapp.dispatch.brokers import choice
from agentapp.dispatch.brokers.base import ANSWER_S
from agentapp.dispatch.circuit import Circuit
from agentapp.policies import faults
from agentapp.policies.faults import Fault

CONNECTIONS = 10
# kombu would connect again and again for several seconds; here the circuit breaker says when it is tried again.
ONCE = {"max_retries": 0}


class Producer(PlainProducer):
    """A producer of one channel that declares each queue once: kombu's own way to see that one is declared already
    takes as long as writing the message."""

    def __init__(self, channel: Any) -> None:
        self._declared: set[str] = set()
        super().__init__(channel)

    def declare_once(self, queues: set[str]) -> None:
        for queue in queues - self._declared:
            choice.chosen().declare(self.channel, current_app.amqp.queues[queue])
            self._declared.add(queue)


class BrokerPool:
    """Connections and their producers, made when they are first used, again in a forked child and after a failure."""

    def __init__(self) -> None:
        self.circuit = Circuit()
        self._lock = threading.Lock()
        self._made_in = 0
        self._connections: Any = None
        self._producers: dict[Any, Producer] = {}

    @contextmanager
    def producer(self) -> Iterator[Producer]:
        """Lend a producer.

        Raises:
            ConnectionError: the broker does not answer, or has not a moment ago.
            PermissionError: it does not allow this to its user.
        """
        with self._connection() as connection:
            channel, producers = connection.default_channel, self._producers
            # After a reconnect it is another channel.
            if connection not in producers or producers[connection].channel is not channel:
                producers[connection] = Producer(channel)
            yield producers[connection]

    @contextmanager
    def channel(self, *, is_probe: bool = False) -> Iterator[Any]:
        """Lend a channel. Raises ConnectionError, as `producer` does. A probe asks the broker in any case: it shall say
        how it is now, and where it answers, the others need not wait any longer."""
        with self._connection(is_probe=is_probe) as connection:
            yield connection.default_channel

    @contextmanager
    def _connection(self, *, is_probe: bool = False) -> Iterator[Any]:
        with self._reported(is_probe=is_probe), self._pool().acquire(block=True, timeout=ANSWER_S) as connection:
            yield connection

    @contextmanager
    def _reported(self, *, is_probe: bool) -> Iterator[None]:
        if not is_probe and not self.circuit.may_call():
            raise ConnectionError("The broker has not answered a moment ago; it is tried again soon.")
        with faults.caught(Fault.OUTAGE, Fault.LIMIT, Fault.REFUSED) as caught:
            yield
        if caught.error is not None:
            self._forget()
            if faults.of(caught.error) is Fault.REFUSED:
                self.circuit.succeeded()
                raise PermissionError(f"The broker refuses this: {caught.error}") from caught.error
            self.circuit.failed()
            raise ConnectionError(f"The broker does not answer: {caught.error}") from caught.error
        self.circuit.succeeded()

    def _pool(self) -> Any:
        with self._lock:
            if self._made_in != os.getpid() or self._connections is None:
                options = {**choice.chosen().short_options(settings.BROKER_URL), **ONCE}
                self._connections = current_app.connection_for_write(transport_options=options).Pool(CONNECTIONS)
                self._producers = {}
                self._made_in = os.getpid()
            return self._connections

    def _forget(self) -> None:
        with self._lock:
            self._connections, self._producers = None, {}


pool = BrokerPool()
