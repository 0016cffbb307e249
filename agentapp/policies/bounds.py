"""Numbers that come from outside, in the range that we can use."""

from __future__ import annotations

import math

# The longest that a provider's Retry-After holds back a job; it may have meant a date, or milliseconds.
LONGEST_RETRY_AFTER_S = 3_600.0


def number(value: object, *, least: float = 0.0, most: float) -> float | None:
    """Read a number that somebody else wrote and bring it into range; None for what is no number, such as NaN."""
    if not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(found) else min(max(found, least), most)
