"""The round of a duty that this thread is in: whether it may go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """A round ends early when its process leads no longer, or at `until_s` on the monotonic clock."""

    leads: Callable[[], bool]
    until_s: float

    def goes_on(self) -> bool:
        return self.leads() and time.monotonic() < self.until_s


# Outside of a dispatcher, such as in the parent of a pool that ends the leases of its child, nothing limits it.
_UNLIMITED = Round(lambda: True, float("inf"))
_current: ContextVar[Round] = ContextVar("round", default=_UNLIMITED)


def current() -> Round:
    return _current.get()


@contextmanager
def begin(leads: Callable[[], bool], *, within_s: float) -> Iterator[Round]:
    """Everything that this thread does in the block belongs to this round."""
    token = _current.set(Round(leads, time.monotonic() + within_s))
    try:
        yield _current.get()
    finally:
        _current.reset(token)
