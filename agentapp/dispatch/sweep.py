"""The one way to go through the items of a sweep: one bad item, or one that is locked, keeps no other waiting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from agentapp.dispatch.round import current
from agentapp.lifecycle import database
from agentapp.observability import events

T = TypeVar("T")
Key = UUID | str

# A row that is locked is usually free in a moment; one that raises needs a person, or another release.
BUSY_FIRST_S, BUSY_LONGEST_S = 0.5, 10.0
BAD_FIRST_S, BAD_LONGEST_S = 5.0, 300.0
# An item that was not met again for so long after its wait is somebody else's business by now.
FORGOTTEN_S = 600.0
# More than this are left alone one by one; a sweep that cannot do anything at all fails as a whole.
MOST_ASIDE = 10_000


@dataclass
class Aside:
    """An item that is left alone until `until_s` on the monotonic clock. `error` is empty while it was only locked."""

    tries: int
    until_s: float
    error: str


@dataclass
class Sweep(Generic[T]):
    """Moves items one by one. What raises is set aside, reported, and tried again with a back-off; the rest goes on.

    `key` names an item; `workflow` its task, whose row a move locks first.
    """

    name: str
    key: Callable[[T], Key]
    workflow: Callable[[T], UUID] | None = None
    aside: dict[Key, Aside] = field(default_factory=dict)

    def __post_init__(self) -> None:
        SWEEPS.append(self)

    def set_aside(self) -> list[Key]:
        """The items that a look must leave out, so that they do not fill its limit."""
        now_s = time.monotonic()
        for key in [key for key, item in self.aside.items() if item.until_s < now_s - FORGOTTEN_S]:
            del self.aside[key]
        return [key for key, item in self.aside.items() if item.until_s > now_s]

    def each(self, items: Iterable[T], move: Callable[[T], int | bool | None]) -> int:
        """Move every item and return how much moved. Stops early when this process leads no longer, or its time is up.

        Raises:
            Unavailable, OperationalError, InterfaceError: Postgres is away, so nothing can be done.
        """
        moved, waiting = 0, set(self.set_aside())
        left = [item for item in items if self.key(item) not in waiting]
        while left and current().goes_on():
            item = left.pop(0)
            try:
                moved += int(move(item) or 0)
                self.aside.pop(self.key(item), None)
            except Exception as error:
                if database.is_away(error):
                    raise
                if database.is_locked(error):
                    self._put(item, BUSY_FIRST_S, BUSY_LONGEST_S, "")
                    left = self._free(left)
                else:
                    self._put(item, BAD_FIRST_S, BAD_LONGEST_S, f"{type(error).__name__}: {error}"[:300])
                    events.emit(
                        "sweep.failed", level=logging.ERROR, sweep=self.name, item=self.key(item),
                        tries=self.aside[self.key(item)].tries, error=error,
                    )  # fmt: skip
        return moved

    def _put(self, item: T, first_s: float, longest_s: float, error: str) -> None:
        key = self.key(item)
        tries = self.aside[key].tries + 1 if key in self.aside else 1
        if len(self.aside) < MOST_ASIDE or key in self.aside:
            wait_s = min(longest_s, first_s * 2 ** min(tries - 1, 20))
            self.aside[key] = Aside(tries, time.monotonic() + wait_s, error)

    def _free(self, items: list[T]) -> list[T]:
        """Leave out, in one question, the items whose task is locked too: each would cost a lock timeout."""
        if self.workflow is None or not items:
            return items
        locked = database.locked_workflows({self.workflow(item) for item in items})
        for item in items:
            if self.workflow(item) in locked:
                self._put(item, BUSY_FIRST_S, BUSY_LONGEST_S, "")
        return [item for item in items if self.workflow(item) not in locked]


SWEEPS: list[Sweep[Any]] = []


def bad_items() -> dict[str, dict[str, Any]]:
    """What raised and is set aside, by sweep: how many, and the latest error."""
    found = {}
    for sweep in SWEEPS:
        bad = [(key, item) for key, item in list(sweep.aside.items()) if item.error]
        if bad:
            key, latest = max(bad, key=lambda pair: pair[1].until_s)
            found[sweep.name] = {"count": len(bad), "item": str(key), "error": latest.error, "tries": latest.tries}
    return found
