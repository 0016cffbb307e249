"""One open stream, as the hub knows it: where it is, and the next page for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from agentapp.streams.access import Access
from agentapp.streams.events import Event

Reason = Literal["done", "time", "access", "stop"]
# What a client that does not read is given to take the end of its stream, in seconds.
LAST_WORD_S = 2.0


@dataclass(frozen=True)
class Follow:
    """What was asked for: a task, from behind the event `after` on, on behalf of `access`."""

    task: UUID
    after: int
    access: Access


class Reader:
    """Holds one page at most: who does not take it gets no other, and nothing is read for it meanwhile.

    `is_stale`: there may be more than it has seen. `is_read`: the hub reads for it at this moment.
    """

    __slots__ = ("_consider", "_page", "_ready", "access", "after", "is_read", "is_stale", "overdue", "reason", "task")

    def __init__(self, follow: Follow, *, consider: Callable[[Reader], None]) -> None:
        self.task = follow.task
        self.after = follow.after
        self.access = follow.access
        self.is_stale = True
        self.is_read = False
        self.reason: Reason | None = None
        # Done when the end was not taken in time.
        self.overdue: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._consider = consider
        self._page: Sequence[Event] = ()
        self._ready = asyncio.Event()

    @property
    def wants(self) -> bool:
        """Whether a page may be given to it."""
        return not self._page and self.reason is None

    async def next(self) -> Sequence[Event]:
        """Return the next page, as soon as there is one; an empty one when the stream ends, for `reason`.

        May be cancelled: nothing is lost.
        """
        self._consider(self)
        await self._ready.wait()
        page, self._page = self._page, ()
        if self.reason is None:
            self._ready.clear()
        return page

    def give(self, page: Sequence[Event]) -> None:
        self._page = page
        self._ready.set()

    def end(self, reason: Reason) -> None:
        """End the stream behind the page that it has; the first reason holds."""
        if self.reason is not None:
            return
        self.reason = reason
        self._ready.set()
        asyncio.get_running_loop().call_later(LAST_WORD_S, self._give_up)

    def _give_up(self) -> None:
        if not self.overdue.done():
            self.overdue.set_result(None)
