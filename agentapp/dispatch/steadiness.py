"""For how long Postgres has answered this process without a gap.

While Postgres stands still nobody can renew a lease, and when it goes on all of them seem to have run out at once. Its
own clock and its start tell nothing about that: only who has asked it all the time knows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from agentapp import conf

# A longer gap, in leases, leaves a living worker too little of its lease to be sure of.
GAP_LEASES = 0.5
# Who asks once a second, on a busy machine, has shorter ones all the time.
SHORTEST_GAP_S = 2.5


@dataclass
class Steadiness:
    """`answered` is called by one thread, `seconds` by others."""

    clock: Callable[[], float] = time.monotonic
    _since_s: float = -math.inf
    _last_s: float | None = None

    def answered(self) -> None:
        """Postgres has answered now."""
        now_s = self.clock()
        if self._last_s is not None and now_s - self._last_s > longest_gap_s():
            self._since_s = now_s
        self._last_s = now_s

    def seconds(self) -> float:
        """For how long it has answered: 0 in a gap, infinite for a process that has seen none."""
        last_s, now_s = self._last_s, self.clock()
        return 0.0 if last_s is None or now_s - last_s > longest_gap_s() else now_s - self._since_s


def longest_gap_s() -> float:
    """A gap of which a living worker is sure to have something left of its lease."""
    return max(SHORTEST_GAP_S, conf.lease_s() * GAP_LEASES)
