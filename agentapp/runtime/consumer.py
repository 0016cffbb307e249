"""Celery's consumer, which sends the events of its tasks in batches and hears of each slot that is free again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from agentapp.runtime.bell import bell
from agentapp.runtime.task_events import task_events

FLUSH_EVERY_S = 0.25


class Consumer(CeleryConsumer):
    """Celery publishes buffered events at every turn of its loop: under load one message for each task, a fifth of the
    loop's work. Here a full buffer is published by itself (Celery does that at 24 events), the rest every
    quarter of a second, together with the events of jobs.
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
        task_events.flush()
        if self._unsent:
            self._unsent = False
            self._flush_events()
