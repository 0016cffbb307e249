"""A file that says that this process lives: container platforms look at its age.

It tells of this process alone, never of Postgres or the broker: a platform that restarts all workers because a server
is away for a minute makes an outage longer.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from agentapp import conf
from agentapp.observability import events

# deploy/alive allows a minute.
EVERY_S = 10.0


class Alive:
    """Writes the file at most every ten seconds, however often it is told that the process moves."""

    def __init__(self) -> None:
        self._path = Path(name) if (name := conf.alive_file()) else None
        self._next_s = 0.0

    def moves(self) -> None:
        """Say so. A file that cannot be written is logged, and ends nothing but the health check."""
        now_s = time.monotonic()
        if self._path is None or now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        try:
            self._path.touch()
        except OSError as error:
            events.emit("alive.not_written", level=logging.WARNING, error=error)


def begin() -> None:
    """Let a thread of this process say so from now on: as long as threads get their turn, the process lives."""
    alive = Alive()
    if conf.alive_file():
        threading.Thread(target=_run, args=(alive,), name="alive", daemon=True).start()


def _run(alive: Alive) -> None:
    while True:
        alive.moves()
        time.sleep(EVERY_S)
