"""Celery's consumer, which sends the events of its tasks in batches and hears of each slot that is free again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

FLUSH_EVERY_S = 0.25


class Bell:
    """Wakes the worker's main loop from a thread of its pool: a pipe, one end of which the loop watches.

    Without prefetching, a worker whose slots are all taken asks the broker for nothing, and Celery does not tell its
    loop when a thread has ended: it would sleep until a timer, and a pool of four did twenty jobs a second.
    """

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def ring(self) -> None:
        try:
            os.write(self._writer, b".")
        except BlockingIOError:
            # It rings already, and nobody has heard it yet.
            return

    def hear(self) -> None:
        try:
            os.read(self.reader, 4096)
        except BlockingIOError:
            return


bell = Bell()


class Consumer(CeleryConsumer):
    """Celery publishes buffered events at every turn of its loop: under load one message for each task, a fifth of the
    loop's work. Here a full buffer is published by itself (Celery does that at 24 events), the rest every
    quarter of a second.
    """

    _unsent = False
    _flush_events: Callable[[], None]

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # the stubs say what Celery does not do
        self._unsent = True

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        hub.call_repeatedly(FLUSH_EVERY_S, self._flush_unsent)
        if hasattr(self.pool, "executor"):
            hub.add_reader(bell.reader, bell.hear)
            self._ring_when_done(self.pool)

    @staticmethod
    def _ring_when_done(pool: Any) -> None:
        """Let a pool of threads ring when one is free; called again after the broker was away, it changes nothing."""
        if "on_apply" in vars(pool):
            return
        begin = pool.on_apply

        def on_apply(*args: Any, **more: Any) -> Any:
            result = begin(*args, **more)
            result.f.add_done_callback(lambda _: bell.ring())
            return result

        pool.on_apply = on_apply

    def _flush_unsent(self) -> None:
        if self._unsent:
            self._unsent = False
            self._flush_events()
