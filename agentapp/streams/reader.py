"""An open stream, as the hub knows it: on whose behalf it is open, and the next page for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal

from agentapp.streams.access import Access
from agentapp.streams.events import Event

Reason = Literal["done", "time", "access", "stop"]
# What a client that does not read is given to take the end of its stream, in seconds.
LAST_WORD_S = 2.0


class Reader:
    """Holds one page at most: who does not take it gets no other, and nothing is read for it meanwhile.

    `is_stale`: there may be more than it has seen. `is_read`: something is read for it at this moment.
    """

    __slots__ = ("_consider", "_page", "_ready", "access", "is_read", "is_stale", "overdue", "reason")

    def __init__(self, access: Access, *, consider: Callable[[Any], None]) -> None:
        self.access = access
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

    @property
    def place(self) -> str | None:
        """Where to resume, beyond the id of the last event."""
        return None

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
        """Hand over the next page, which is not empty."""
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
