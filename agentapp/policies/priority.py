"""Priorities: 0 is the most urgent."""

from __future__ import annotations

NAMES = ("urgent", "high", "normal", "low")
# kombu's Redis transport keeps one list per step of three; 0 is read first.
BROKER_STEP = 3


def by_name(name: str) -> int:
    """Raises ValueError for a word that is not a priority."""
    return NAMES.index(name)


def to_broker(priority: int) -> int:
    """Return the message priority of a job's priority."""
    return priority * BROKER_STEP
