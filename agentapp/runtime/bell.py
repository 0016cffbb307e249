"""How a thread of a worker tells the main loop that a slot is free."""

from __future__ import annotations

import os


class Bell:
    """Wakes the worker's main loop from a thread of its pool: a pipe, one end of which the loop watches.

    Without prefetching, a worker whose slots are all taken asks the broker for nothing, and Celery does not tell its
    loop when a thread has ended: it would sleep until a timer, and a pool of four did twenty jobs a second.
    """

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)
        # Whether the loop waits for a slot; while it waits for messages, each of which wakes it, nobody need ring.
        self.is_awaited = True

    def ring(self) -> None:
        if not self.is_awaited:
            return
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
