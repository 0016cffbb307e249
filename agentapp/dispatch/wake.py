"""Waking the dispatcher: one NOTIFY for many callers, at most every 20 ms per process.

Never within a claim or a settle: a NOTIFY takes a database-wide lock until its commit has reached the disk.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from django.db import connection

from agentapp.errors import Unavailable
from agentapp.lifecycle import leadership
from agentapp.observability import events

AT_MOST_EVERY_S = 0.02
# A connection that nobody needs for so long is given up.
IDLE_S = 1.0


class Waker:
    """A thread that is started by the first call; a forked child starts its own."""

    def __init__(self) -> None:
        self._pid = 0
        self._wanted = threading.Event()

    def __call__(self) -> None:
        """Let the leading dispatcher look at once. What is due must be committed."""
        if self._pid != os.getpid():
            self._pid, self._wanted = os.getpid(), threading.Event()
            threading.Thread(target=self._notify, args=(self._wanted,), name="waker", daemon=True).start()
        self._wanted.set()

    @staticmethod
    def _notify(wanted: threading.Event) -> None:
        while True:
            if not wanted.wait(IDLE_S):
                connection.close()
                wanted.wait()
            wanted.clear()
            try:
                leadership.notify()
            except Unavailable as error:
                # The dispatcher looks by itself at its next tick.
                events.emit("postgres.unavailable", level=logging.WARNING, error=error)
            time.sleep(AT_MOST_EVERY_S)


wake = Waker()
