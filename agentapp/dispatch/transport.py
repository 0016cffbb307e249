"""kombu's Redis transport, with one Redis client per channel, and deaf to what is no message.

kombu makes a new client object for every publish; that was a third of its cost. Redelivery is switched off beside it
(`ack_emulation`): the lease in Postgres is the acknowledgement, and the bookkeeping of unacked messages was most of the
work of a worker's main loop. What a worker holds in memory at a warm stop goes back to the queue from memory.

Anybody who reaches the broker can write into its lists. Left to itself, a worker dies of an entry that is no message of
Celery's and puts it back for the next worker to die of.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import redis
from redis import Connection as PlainConnection
from redis import ConnectionError as BrokerConnectionError
from redis import ResponseError, SSLConnection

from agentapp import failpoints
from agentapp.dispatch.receiving import UNREADABLE, Receiver
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault

# A command of so many words, so that none keeps the broker from others for long.
MOST_IN_ONE = 100


class _Roles:
    """A connection that takes the answers of a broker which changes its role, starts, or cannot write for its own end:
    kombu knows how to go on after that, and would let any other answer end the worker."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]  # of the class beside this one
        except ResponseError as error:
            if faults.of(error) is not Fault.OUTAGE:
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise BrokerConnectionError(str(error)) from error


class Connection(_Roles, PlainConnection):
    pass


class TlsConnection(_Roles, SSLConnection):
    pass


class Batch(redis.PublishBatch):  # type: ignore[name-defined,misc]  # missing in the stubs
    """Messages for one list go there in one command, so that one look of a worker finds them together."""

    channel: Any
    pipeline: Any

    def flush(self) -> None:
        self.pipeline.command_stack = _merged(self.pipeline.command_stack)
        super().flush()


def _merged(commands: list[Any]) -> list[Any]:
    """Join what is pushed to the same list, one after the other: [((name, key, message), options), ...]."""
    merged: list[Any] = []
    for arguments, options in commands:
        name, key, *messages = arguments
        if merged and name == "LPUSH" and merged[-1][0][:2] == (name, key) and len(merged[-1][0]) < MOST_IN_ONE:
            merged[-1] = (merged[-1][0] + tuple(messages), options)
        else:
            merged.append((arguments, options))
    return merged


class Channel(Receiver):
    connection_class = Connection
    connection_class_ssl = TlsConnection
    pool: Any
    _held: Any = None
    _create_client: Any

    def create_publish_batch(self, max_size: int) -> Batch:
        return Batch(self, max_size)

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        if client is None:
            if self._held is None or self._held.connection_pool is not self.pool:
                self._held = self._create_client()
            client = self._held
        yield client


class Transport(redis.Transport):
    Channel = Channel
    channels: list[Any]

    def _deliver(self, message: Any, queue: str | None) -> None:
        try:
            failpoints.hit("ack.after", message["headers"].get("task", ""))
            super()._deliver(message, queue)
        except UNREADABLE as error:
            events.emit("message.dropped", level=logging.ERROR, queue=queue, error=error)
            self._forget(message)

    def _forget(self, message: Any) -> None:
        """Do not put a message back, nor let it take up a slot forever."""
        for qos in [channel.qos for channel in self.channels if channel]:
            for tag in [tag for tag, held in qos._delivered.items() if held._raw is message]:
                qos.ack(tag)
