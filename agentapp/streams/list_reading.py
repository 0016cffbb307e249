"""Reading for the streams of all tasks: what every tenant that is followed has new, once for all streams."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial

from agentapp.lifecycle import events_live, tenant_context
from agentapp.lifecycle.events_live import Position
from agentapp.streams import access
from agentapp.streams.following import FollowList, ListReader
from agentapp.streams.questions import AGAIN_S, Questions

PAGE = 200
# The first change is told at once; of many, those of this time together.
EVERY_S = 0.05


class ListReading:
    """Open streams of the list. Those that have caught up stand at one place, and share what is read."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._readers: set[ListReader] = set()
        self._is_due = asyncio.Event()

    def open(self, follow: FollowList) -> ListReader:
        reader = ListReader(follow, consider=self._consider)
        self._readers.add(reader)
        return reader

    def close(self, reader: ListReader) -> None:
        self._readers.discard(reader)

    def look(self) -> None:
        """Something may have happened to any task."""
        for reader in self._readers:
            reader.is_stale = True
            self._consider(reader)

    async def run(self) -> None:
        """Read what is due, until cancelled."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            if due := [reader for reader in self._readers if reader.is_stale and reader.wants]:
                is_read = await self._read(due)
                await asyncio.sleep(EVERY_S if is_read else AGAIN_S)

    def _consider(self, reader: ListReader) -> None:
        if reader.is_stale and reader.wants:
            self._is_due.set()

    async def _read(self, due: list[ListReader]) -> bool:
        """Read for these; False where Postgres does not answer."""
        places: dict[Position, list[ListReader]] = defaultdict(list)
        beginning = [reader for reader in due if reader.position is None]
        for reader in due:
            reader.is_stale = False
            if reader.position is not None:
                places[reader.position].append(reader)
        now = await self._questions.ask(events_live.now) if beginning else None
        pages = await self._questions.ask(partial(self._pages, places)) if places else []
        if now is not None:
            for reader in beginning:
                reader.begin(now)
        for same, page in zip(places.values(), pages or (), strict=bool(pages)):
            for reader in same:
                if page.is_known:
                    reader.moved(page)
                else:
                    # The next reading tells where to begin.
                    reader.forget()
        is_read = pages is not None and (now is not None or not beginning)
        for reader in due:
            reader.is_stale = reader.is_stale or not is_read or reader.position is None
            self._consider(reader)
        return is_read

    def _pages(self, places: dict[Position, list[ListReader]]) -> list[events_live.Page]:
        """Called in a thread."""
        tenants = access.tenants(reader.access for same in places.values() for reader in same)
        with tenant_context.of(tenants):
            return events_live.pages(list(places), tenants=None if tenants is None else sorted(tenants), limit=PAGE)
