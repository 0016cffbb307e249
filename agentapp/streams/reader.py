"""One open stream, as the hub knows it: where it is, and the next page for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from agentapp.states import JobState
from agentapp.streams import events
from agentapp.streams.access import Access
from agentapp.streams.events import Event
from agentapp.streams.texts import Text

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

    `is_stale`: there may be more than it has seen. `is_read`: the hub reads for it at this moment. `has_caught_up`: it
    was given everything there was, once.
    """

    __slots__ = (
        "_consider", "_page", "_ready", "_told", "access", "after", "has_caught_up", "is_read", "is_stale", "overdue",
        "reason", "running", "task",
    )  # fmt: skip

    def __init__(self, follow: Follow, *, consider: Callable[[Reader], None]) -> None:
        self.task = follow.task
        self.after = follow.after
        self.access = follow.access
        self.is_stale = True
        self.is_read = False
        self.has_caught_up = False
        # The jobs that run, with their attempts, as of the event `after`. Of the middle of a history only Postgres
        # knows; None until it was asked.
        self.running: dict[str, int] | None = None if follow.after else {}
        # How far the text of a job was told: of which run, in bytes and in characters.
        self._told: dict[str, tuple[bytes, int, int]] = {}
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

    def begin_again(self) -> None:
        """Forget where it was."""
        self.after, self.running, self._told, self.is_stale = 0, {}, {}, True

    def moved(self, rows: Sequence[Mapping[str, Any]], running: Mapping[str, int]) -> None:
        """Go on behind rows of the history; `running` are the jobs that run behind all there are."""
        if self.running is None:
            self.running = dict(running)
        for row in rows:
            self.after = row["seq"]
            if row["noun"] == "job" and row["to"] == JobState.RUNNING:
                self.running[row["job"]["id"]] = (row["data"] or {}).get("attempt", 0)
            elif row["noun"] == "job":
                self.running.pop(row["job"]["id"], None)
                self._told.pop(row["job"]["id"], None)

    def deltas(self, texts: Mapping[str, Text]) -> list[Event]:
        """Return what the running jobs have written since they were asked last."""
        found = []
        for job, attempt in (self.running or {}).items():
            text = texts.get(job)
            if text is None or text.attempt != attempt:
                continue
            run, told, offset = self._told.get(job, (text.run, 0, 0))
            if run != text.run:
                told = offset = 0
            if piece := text.content[told:].decode(errors="replace"):
                self._told[job] = (text.run, len(text.content), offset + len(piece))
                found.append(events.of_text(str(self.task), job, attempt, offset, piece, after=self.after))
        return found

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
