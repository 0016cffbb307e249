"""What happened in each minute becomes a row, once the minute is over: the operations page looks back by these."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agentapp.lifecycle import quarters, samples, totals

EVERY_S = 5.0
# Of a busy minute, or after an absence, much is read: it must not take more than a twentieth of our time.
REST_TIMES = 20


@dataclass
class Sampler:
    """Looks every few seconds whether a minute is over."""

    next_at_s: float = 0.0

    def sample(self) -> int:
        """Measure what was not measured yet, if it is time; return 0, because nothing follows from it."""
        began_s = time.monotonic()
        if began_s < self.next_at_s:
            return 0
        # Also after a failure: what took too long once does so again.
        self.next_at_s = began_s + EVERY_S
        if samples.take():
            # It completes the last minute, which may be the end of a quarter.
            totals.add_up()
            quarters.add_up()
        ended_s = time.monotonic()
        self.next_at_s = ended_s + max(EVERY_S, REST_TIMES * (ended_s - began_s))
        return 0
