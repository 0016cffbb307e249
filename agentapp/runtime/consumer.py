"""Celery's consumer, which sends the events of its tasks in batches and hears of each slot that is free again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer

from agentapp.runtime import draining
from agentapp.runtime.arrivals import Arrivals
from agentapp.runtime.bell import bell
from agentapp.runtime.task_events import task_events

FLUSH_EVERY_S = 0.25


class Consumer(CeleryConsumer):
    """Celery publishes buffered events at every turn of its loop: under load one message for each task, a fifth of the
    loop's work. Here a full buffer is published by itself (Celery does that at 24 events), the rest every
    quarter of a second, together with the events of jobs.
    """

    _unsent = False
    _arrivals: Arrivals | None = None
    task_consumer: Any
    hub: Any
    call_soon: Callable[..., Any]
    controller: Any
    event_dispatcher: Any
    connection_errors: tuple[type[Exception], ...]
    _flush_events: Callable[[], None]

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # the stubs say what Celery does not do
        self._unsent = True

    def stop(self) -> None:
        """The main loop is over. Where no signal has begun to end the process, nobody has foreseen why: without a drain
        it would wait for its bodies, renew their leases, and read no message any more."""
        draining.begin(exit_code=1)
        super().stop()

    def create_task_handler(self, *args: Any, **more: Any) -> Any:
        """Both of Celery's loops, with and without an event loop, begin with this."""
        if hasattr(self.task_consumer.channel, "free_slots"):
            self.task_consumer.channel.free_slots = self._free_slots
        return super().create_task_handler(*args, **more)

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        hub.call_repeatedly(FLUSH_EVERY_S, self._flush_unsent)
        if hasattr(self.pool, "executor"):
            hub.add_reader(bell.reader, bell.hear)
            self._ring_when_done(self.pool)
            # A broker that sends by itself sends the next message when it has the acknowledgement of the last: there
            # the bell always rings.
            if (qos := getattr(self.task_consumer.channel, "qos", None)) is not None:
                self._tell_whether_full(qos)

    def arrivals(self) -> Arrivals:
        """Return what this worker's threads get messages about jobs from; all job types share it."""
        if self._arrivals is None:
            self._arrivals = Arrivals(self.hub or self, self.pool.executor)
        return self._arrivals

    def _free_slots(self) -> int:
        slots: int = self.pool.num_processes
        return slots - len(state.reserved_requests)

    @staticmethod
    def _tell_whether_full(qos: Any) -> None:
        """Let the bell ring only while the loop has no slot free. Said before the look: a thread that becomes free in
        between rings."""
        looks = qos.can_consume

        def can_consume() -> bool:
            bell.is_awaited = True
            can = bool(looks())
            bell.is_awaited = not can
            return can

        qos.can_consume = can_consume

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
