"""Ends a process in which our own code stands still; waiting for Postgres is no standstill, however long it takes."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agentapp import conf

# A process whose threads stand still for so long, in leases, ends itself: something holds Python's lock forever.
STANDSTILL_LEASES = 4
LOOK_EVERY_S = 0.5


class Watchdog:
    """A timer in C, which needs no lock of Python's, ends the process unless a thread of ours sets it again and again.

    The thread does so as long as the heartbeat's moves, or waits in `network`.
    """

    def __init__(self) -> None:
        self._moved_at_s = time.monotonic()
        self._is_in_network = False

    def moved(self) -> None:
        """The heartbeat has come round."""
        self._moved_at_s = time.monotonic()

    @contextmanager
    def network(self) -> Iterator[None]:
        """Around a wait for somebody else."""
        self._is_in_network = True
        try:
            yield
        finally:
            self.moved()
            self._is_in_network = False

    def run(self, on_look: Callable[[], None]) -> None:
        """Watch forever, and call `on_look` at each look."""
        # Celery puts a logger in the place of stderr; a traceback needs the real one.
        to = sys.__stderr__ or 2
        looked_at_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            standstill_s = conf.lease_s() * STANDSTILL_LEASES
            if now_s - looked_at_s > standstill_s:
                # The whole process was stopped, and goes on: the timer has run out as well, but this thread came first.
                faulthandler.dump_traceback(to)
                os._exit(1)
            looked_at_s = now_s
            if self._is_in_network or now_s - self._moved_at_s < conf.lease_s():
                faulthandler.dump_traceback_later(standstill_s, exit=True, file=to)
            on_look()
            time.sleep(LOOK_EVERY_S)
