"""Celery's consumer, which sends the events of its tasks in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

FLUSH_EVERY_S = 0.25


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

    def _flush_unsent(self) -> None:
        if self._unsent:
            self._unsent = False
            self._flush_events()
