"""A circuit breaker: what does not answer is left alone for a while, then one call tries it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_S, LONGEST_S = 0.5, 3.0
# A call that tries it and never reports is given up after so long.
PROBE_S = 10.0


@dataclass
class Circuit:
    """Closed after a success; open after a failure, for twice as long each time; half open for one call after that."""

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    open_until_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def may_call(self) -> bool:
        """Tell whether to call now. Of several, one is let through to try it; it must report."""
        with self._lock:
            if not self.failures:
                return True
            if self.clock() < self.open_until_s:
                return False
            self.open_until_s = self.clock() + PROBE_S
            return True

    def succeeded(self) -> None:
        with self._lock:
            self.failures, self.open_until_s = 0, 0.0

    def failed(self) -> None:
        with self._lock:
            self.failures += 1
            self.open_until_s = self.clock() + min(LONGEST_S, FIRST_S * 2 ** min(self.failures - 1, 10))
