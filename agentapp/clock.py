"""The one place where time comes from."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_fixed: datetime | None = None


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _fixed or datetime.now(UTC)


def fixed() -> datetime | None:
    """The moment that a test has set, or None.

    State moves pass it to the database, which uses its own clock otherwise: leases of many machines are then
    compared by one clock.
    """
    return _fixed


@contextmanager
def frozen_at(moment: datetime) -> Iterator[Clock]:
    """Stop the clock at `moment`; the value moves it. For tests and simulations."""
    global _fixed
    before, _fixed = _fixed, moment
    try:
        yield Clock()
    finally:
        _fixed = before


class Clock:
    """The handle on a stopped clock."""

    def now(self) -> datetime:
        return now()

    def set(self, moment: datetime) -> None:
        global _fixed
        _fixed = moment

    def advance(self, seconds: float) -> None:
        self.set(now() + timedelta(seconds=seconds))
