"""What a stream follows: one task from an event on, or the list of all tasks from a moment on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agentapp.lifecycle.events_live import Page, Position
from agentapp.states import JobState
from agentapp.streams import cursors, events
from agentapp.streams.access import Access
from agentapp.streams.events import Event
from agentapp.streams.reader import Reader
from agentapp.streams.texts import Text


@dataclass(frozen=True)
class FollowTask:
    """A task, from behind the event `after` on."""

    access: Access
    task: UUID
    after: int


@dataclass(frozen=True)
class FollowList:
    """All tasks that `access` may see and that fit; `position` is None for a client that must read the list first.

    `is_lost`: it came with a place that is of no use.
    """

    access: Access
    position: Position | None = None
    is_lost: bool = False
    state: str | None = None
    kind: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def shows(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row is of a task that is followed. With `state`, what enters or leaves it is."""
        tenants = self.access.tenant_ids
        return (
            (tenants is None or row["tenant"] in tenants)
            and (not self.kind or row["kind"] == self.kind)
            and self.labels.items() <= row["labels"].items()
            and (not self.state or (row["noun"] == "workflow" and self.state in (row["from"], row["to"])))
        )


class TaskReader(Reader):
    """Where a stream of one task is. `has_caught_up`: it was given everything there was, once."""

    __slots__ = ("_told", "after", "has_caught_up", "running", "task")

    def __init__(self, follow: FollowTask, *, consider: Callable[[Any], None]) -> None:
        super().__init__(follow.access, consider=consider)
        self.task = follow.task
        self.after = follow.after
        self.has_caught_up = False
        # The jobs that run, with their attempts, as of the event `after`. Of the middle of a history only Postgres
        # knows; None until it was asked.
        self.running: dict[str, int] | None = None if follow.after else {}
        # How far the text of a job was told: of which run, in bytes and in characters.
        self._told: dict[str, tuple[bytes, int, int]] = {}

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


class ListReader(Reader):
    """Where a stream of all tasks is; without a position it begins where the next reading is."""

    __slots__ = ("_is_lost", "follow", "position")

    def __init__(self, follow: FollowList, *, consider: Callable[[Any], None]) -> None:
        super().__init__(follow.access, consider=consider)
        self.follow = follow
        self.position = follow.position
        self._is_lost = follow.is_lost

    @property
    def place(self) -> str | None:
        return cursors.write(self.position) if self.position else None

    def begin(self, position: Position) -> None:
        """Begin at the present moment. The client hears of it: what it reads of the list from now on is not older."""
        known = events.RESET if self._is_lost else events.PING
        self.position = position
        self.give([Event(known.type, known.data, self.place)])

    def forget(self) -> None:
        """Its place is not one of this database."""
        self.position, self._is_lost = None, True

    def moved(self, page: Page) -> None:
        """Go on behind a page, and hand over what is followed of it."""
        self.position = page.next
        self.is_stale = self.is_stale or page.has_more
        shown = [
            events.of_history(row["task"], row, place=cursors.write(page.start.at(row)))
            for row in page.rows
            if self.follow.shows(row)
        ]
        if shown:
            self.give(shown)
