"""Taking messages out of Redis or Valkey: as many in one round trip as there are free slots.

kombu takes them one by one with BRPOP. BLMPOP, of Redis 7 and Valkey, takes several of one list; a server that does not
know it, or does not allow it to this user, is asked with BRPOP from then on.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport import redis
from kombu.utils.encoding import bytes_to_str
from redis import ResponseError
from redis.exceptions import NoPermissionError

from agentapp.observability import events

# Of what one worker takes at once nothing is left for another one that has just become free.
MOST_AT_ONCE = 8
UNKNOWN = "unknown command"
# What kombu and Celery run into when an entry has not the form that they expect: an entry may be nested deeper than
# Python reads, and kombu makes decimals and dates of those that say so. Celery itself catches the rest.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Receiver(redis.Channel):
    """A channel that reads several messages at once. `free_slots` says how many it may read now."""

    free_slots: Callable[[], int] = staticmethod(lambda: 1)
    knows_blmpop = True
    brpop_timeout: int
    client: Any
    connection: Any
    connection_errors: tuple[type[Exception], ...]
    global_keyprefix: str
    sep: str
    priority_steps: list[int]
    _queue_cycle: Any
    _q_for_pri: Callable[[str, int], str]
    _in_poll: Any
    _brpop_sent_at: float | None
    _flush_brpop_reauth: Callable[[], None]

    def _takes_several(self) -> bool:
        # kombu puts a prefix before the keys of the commands that it knows.
        return self.knows_blmpop and not self.global_keyprefix

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self._takes_several():
            super()._brpop_start(timeout)  # type: ignore[misc]  # missing in the stubs
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        # The most urgent first, of all queues.
        keys = [self._q_for_pri(queue, priority) for priority in self.priority_steps for queue in queues]
        count = max(1, min(self.free_slots(), MOST_AT_ONCE))
        self._in_poll, self._brpop_sent_at = self.client.connection, time.monotonic()
        self._in_poll.send_command("BLMPOP", timeout or self.brpop_timeout, len(keys), *keys, "RIGHT", "COUNT", count)

    def _brpop_read(self, **options: Any) -> bool:
        if not self._takes_several():
            return self._reads(super()._brpop_read, **options)  # type: ignore[misc]  # missing in the stubs
        try:
            answer = self._answer(**options)
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if not answer:
            raise Empty
        name, entries = answer
        queue = bytes_to_str(name).rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        for entry in entries:
            self._deliver_entry(queue, entry)
        return True

    def _receive_one(self, client: Any) -> bool:
        """Of what is sent to all: remote control."""
        return self._reads(super()._receive_one, client)  # type: ignore[misc]  # missing in the stubs

    @staticmethod
    def _reads(read: Callable[..., Any], *args: Any, **options: Any) -> bool:
        try:
            return bool(read(*args, **options))
        except UNREADABLE as error:
            events.emit("message.dropped", level=logging.ERROR, error=error)
            raise Empty from error

    def _answer(self, **options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BLMPOP", **options)
        except self.connection_errors:
            # The next turn of the loop connects again.
            self.client.connection.disconnect()
            raise
        except ResponseError as error:
            if not (isinstance(error, NoPermissionError) or str(error).lower().startswith(UNKNOWN)):
                raise
            type(self).knows_blmpop = False
            return None

    def _deliver_entry(self, queue: str, entry: bytes) -> None:
        try:
            message = json.loads(entry)
        except UNREADABLE as error:
            # It is gone from its list.
            events.emit("message.dropped", level=logging.ERROR, queue=queue, error=error)
            return
        self.connection._deliver(message, queue)
