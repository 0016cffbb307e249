"""Reading for the streams of single tasks: their history from Postgres, and the texts of what runs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from uuid import UUID

from agentapp.lifecycle import events_after, tenant_context
from agentapp.lifecycle.events_after import Page, Place
from agentapp.streams import access, events
from agentapp.streams.following import FollowTask, TaskReader
from agentapp.streams.questions import AGAIN_S, Questions
from agentapp.streams.texts import Texts

# Events that one stream is given at once, and places that one statement reads.
PAGE, PLACES = 100, 500


class TaskReading:
    """Open streams by their task. All that are due are read in one statement."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._readers: dict[UUID, set[TaskReader]] = defaultdict(set)
        self._due: set[TaskReader] = set()
        self._is_due = asyncio.Event()
        self.texts = Texts(on_text=self._offer_texts, is_followed=self._readers.__contains__)

    def open(self, follow: FollowTask) -> TaskReader:
        reader = TaskReader(follow, consider=self._consider)
        self._readers[follow.task].add(reader)
        return reader

    def close(self, reader: TaskReader) -> None:
        self._due.discard(reader)
        readers = self._readers.get(reader.task, set())
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.task, None)
            self.texts.keep(reader.task, ())

    def readers(self) -> list[TaskReader]:
        return [reader for readers in self._readers.values() for reader in readers]

    def wake(self, tasks: Iterable[UUID]) -> None:
        """Something has happened to these tasks."""
        for task in tasks:
            for reader in self._readers.get(task, ()):
                reader.is_stale = True
                self._consider(reader)

    def look(self) -> None:
        """Something may have happened to any task."""
        self.wake(list(self._readers))

    def catch_up(self) -> None:
        """Wakes come again, and may have been missed."""
        self.look()
        for reader in self.readers():
            self._want_texts(reader)

    def want_text(self, task: UUID, job: str, attempt: int) -> None:
        """A job has written."""
        if task in self._readers:
            self.texts.want(task, job, attempt)

    async def run(self) -> None:
        """Read what is due, until cancelled."""
        while True:
            await self._is_due.wait()
            if due := self._taken():
                await self._read(due)

    def _consider(self, reader: TaskReader) -> None:
        """Give a reader that wants a page what there is for it. Its events go before texts."""
        if reader.is_read or not reader.wants:
            return
        if reader.is_stale:
            self._due.add(reader)
            self._is_due.set()
        elif deltas := reader.deltas(self.texts.of(reader.task)):
            reader.give(deltas)

    def _want_texts(self, reader: TaskReader) -> None:
        for job, attempt in (reader.running or {}).items():
            self.texts.want(reader.task, job, attempt)

    def _offer_texts(self, task: UUID) -> None:
        for reader in self._readers.get(task, ()):
            self._consider(reader)

    def _taken(self) -> dict[Place, list[TaskReader]]:
        """Take what is due, at most `PLACES` places; streams at the same place of a task share what is read."""
        taken: dict[Place, list[TaskReader]] = defaultdict(list)
        while self._due and len(taken) < PLACES:
            reader = self._due.pop()
            reader.is_stale, reader.is_read = False, True
            taken[Place(reader.task, reader.after, reader.running is None)].append(reader)
        if not self._due:
            self._is_due.clear()
        return taken

    async def _read(self, due: dict[Place, list[TaskReader]]) -> None:
        readers = [reader for same in due.values() for reader in same]
        tenants = access.tenants(reader.access for reader in readers)
        pages = await self._questions.ask(partial(_pages, list(due), tenants))
        for reader in readers:
            reader.is_read = False
            reader.is_stale = reader.is_stale or pages is None
        for (place, same), page in zip(due.items(), pages or (), strict=bool(pages)):
            shown = [events.of_history(str(place.task), row) for row in page.rows]
            for reader in same:
                self._hand(reader, page, shown)
        if pages is None:
            await asyncio.sleep(AGAIN_S)
        for reader in readers:
            self._consider(reader)

    def _hand(self, reader: TaskReader, page: Page, shown: Sequence[events.Event]) -> None:
        if page.seq is not None and reader.after > page.seq:
            # The client knows more than there is: another task's number, or a database that was restored.
            reader.begin_again()
            reader.give([events.RESET])
            return
        # What a job wrote last comes before its end.
        deltas = reader.deltas(self.texts.of(reader.task)) if page.rows else ()
        reader.moved(page.rows, page.running)
        if page.rows:
            reader.is_stale = reader.is_stale or len(page.rows) == PAGE
            reader.give([*deltas, *shown])
        if reader.after == page.seq:
            self.texts.keep(reader.task, reader.running or ())
            if not reader.has_caught_up:
                reader.has_caught_up = True
                self._want_texts(reader)
        if page.seq is None or (page.is_over and reader.after >= page.seq):
            reader.end("done")


def _pages(places: Sequence[Place], tenants: frozenset[int] | None) -> list[Page]:
    """Called in a thread. Each place is of a task that its reader may see; of a tenant's alone are the rows."""
    with tenant_context.of(tenants):
        return events_after.pages(places, limit=PAGE)
