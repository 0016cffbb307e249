"""Moments that clients send."""

from __future__ import annotations

from datetime import UTC, datetime


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC: Postgres takes no zone that is 16 hours away from it, RFC 3339 does.

    Raises:
        ValueError: in UTC it lies before the year 1 or after the year 9999.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Write a time between the years 1 and 9999, in UTC too.") from None
