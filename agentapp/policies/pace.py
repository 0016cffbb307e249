"""How many may pass a meter now, by the generic cell rate algorithm (GCRA, ITU-T I.371).

A meter is the theoretical arrival time of the next one, here `ahead_s`: how far that lies in the future. One that
passes adds a step; it may pass while that keeps the meter no further ahead than `burst` steps. So in any window of W
seconds at most W / step + burst pass. The moves in Postgres consume by the same rule.
"""

from __future__ import annotations

import math

# A meter is a float of seconds: what is due in a microsecond is due.
GRAIN_S = 1e-6
ANY_NUMBER = 1_000_000


def room(*, ahead_s: float, step_s: float, burst: int, each: float = 1.0) -> int:
    """Return how many may pass at this moment; `each` is what one takes, in steps (tokens, or 1 for requests).

    One that takes more than the whole burst passes alone, when the meter is not ahead at all.
    """
    free_s = max(burst, each) * step_s - max(ahead_s, 0.0) + GRAIN_S
    if each <= 0:
        return ANY_NUMBER if free_s >= 0 else 0
    return max(0, math.floor(free_s / (each * step_s)))


def opens_in_s(*, ahead_s: float, step_s: float, burst: int, each: float = 1.0) -> float:
    """Return after how many seconds the next one may pass; 0 is now."""
    if room(ahead_s=ahead_s, step_s=step_s, burst=burst, each=each) > 0:
        return 0.0
    return max(0.0, max(ahead_s, 0.0) + (each - max(burst, each)) * step_s)
