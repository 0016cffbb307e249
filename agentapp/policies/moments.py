"""Moments as clients send them, and as they are told them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def read(value: object, *, hint: str = "") -> datetime:
    """Read a text of RFC 3339 and return its moment in UTC.

    Raises:
        ValueError: it is none, has no zone, or lies outside of the years that there are; the sentence says what to do.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"Write a time with its zone, as in 2025-01-31T08:00:00Z{hint}.")
    return in_utc(moment)


def of_clock(value: str, zone: tzinfo) -> datetime:
    """Return the moment at which the clocks of a zone show a date and a time, as a form sends them; of two the first.

    Raises:
        ValueError: it is none, or clocks are put forward over it; the sentence says what to do.
    """
    try:
        shown = datetime.fromisoformat(value)
    except ValueError:
        shown = None
    if shown is None or shown.tzinfo is not None or "T" not in value:
        raise ValueError("Choose a date and a time, as in 2025-01-31T08:00.")
    moment = in_utc(shown.replace(tzinfo=zone))
    if moment.astimezone(zone).replace(tzinfo=None) != shown:
        raise ValueError(
            f"There is no {shown:%H:%M} on {shown:%Y-%m-%d} in {zone}: clocks are put forward. Choose another time."
        )
    return moment


def written(moment: datetime) -> str:
    """Return a moment as every answer, event and webhook has it: 2025-01-31T08:00:00.123456Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC: Postgres takes no zone that is 16 hours away from it, RFC 3339 does.

    Raises:
        ValueError: in UTC it lies before the year 1 or after the year 9999.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Write a time between the years 1 and 9999, in UTC too.") from None
