"""How many requests of this process go to one host, and for one tenant, at once.

A gate could count them exactly, but jobs of one type and tenant leave the backlog in their order: those behind a host
that is full would wait for it too. Here a job that finds no slot goes back, waits without an attempt that counts, and
the next one has its turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agentapp.errors import ReceiverBusy

SOONEST_S, LATEST_S = 1.0, 300.0
# How much the latest call counts beside those before.
WEIGHT = 0.3


@dataclass
class _Line:
    """Who has slots of one key, how long a call takes, and when the next who found none should come."""

    taken: int = 0
    call_s: float = 1.0
    turn_s: float = 0.0


@dataclass
class Slots:
    """`key` is a host or a tenant; each has a number of slots of its own."""

    _lines: dict[str, _Line] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def held(self, key: str, *, most: int) -> Iterator[None]:
        """Hold a slot of a key in the block.

        Raises:
            ReceiverBusy: all are in use. Each caller is told another time, so that they do not all come back at once.
        """
        began_s = time.monotonic()
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            if line.taken >= most:
                raise _busy(key, line, most=most, now_s=began_s)
            line.taken += 1
        was_called = True
        try:
            yield
        except ReceiverBusy:
            # Another key of the same call has no slot.
            was_called = False
            raise
        finally:
            self._free(key, line, took_s=time.monotonic() - began_s if was_called else line.call_s)

    def _free(self, key: str, line: _Line, *, took_s: float) -> None:
        with self._lock:
            line.taken -= 1
            line.call_s += WEIGHT * (took_s - line.call_s)
            if not line.taken and line.turn_s < time.monotonic():
                self._lines.pop(key, None)


def _busy(key: str, line: _Line, *, most: int, now_s: float) -> ReceiverBusy:
    turn_s = min(max(line.turn_s, now_s + SOONEST_S), now_s + LATEST_S)
    line.turn_s = turn_s + line.call_s / most
    return ReceiverBusy(f"{most} requests go to {key} already.", retry_after_s=round(turn_s - now_s))
