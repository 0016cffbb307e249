"""Numbers that come from outside, in the range that we can use."""

from __future__ import annotations

import math

# The longest that a provider's Retry-After holds back a job; it may have meant a date, or milliseconds.
LONGEST_RETRY_AFTER_S = 3_600.0
LONGEST_DIGITS = 20
# What a column of Postgres can hold.
LARGEST_INTEGER, LARGEST_BIGINT = 2**31 - 1, 2**63 - 1


def number(value: object, *, least: float = 0.0, most: float) -> float | None:
    """Read a number that somebody else wrote and bring it into range; None for what is no number, such as NaN."""
    if not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(found) else min(max(found, least), most)


def whole(value: object, *, least: int = 0, most: int) -> int | None:
    """Read a whole number that somebody else wrote; None for what is none, and for one out of range."""
    if isinstance(value, str):
        # Python refuses to read numbers of thousands of digits.
        value = int(value) if value.isascii() and value.isdecimal() and len(value) <= LONGEST_DIGITS else None
    elif isinstance(value, float):
        value = int(value) if math.isfinite(value) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value <= most else None
