"""The one place of a web process that reads events for its open streams.

It lives in the event loop. Wakes only say which tasks to look at; all that are due are read in one statement, by a
thread of a small pool that gives its connection back at once. A wake that is lost costs time and no event, because
every stream is also looked at without one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from agentapp.lifecycle import database, events_after
from agentapp.lifecycle.events_after import Page, Place
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.streams import access, events
from agentapp.streams.reader import Follow, Reader
from agentapp.streams.subscription import Subscription
from agentapp.streams.texts import Texts

logger = logging.getLogger(__name__)
T = TypeVar("T")

THREADS = 2
# Events that one stream is given at once, and places that one statement reads.
PAGE, PLACES = 100, 500
# How often streams are looked at without a wake, while wakes come and while they do not.
LOOK_S, LOOK_WITHOUT_WAKES_S = 10.0, 1.5
ACCESS_S = 2.0
# After a failed reading.
AGAIN_S = 1.0


class Hub:
    """Open streams by their task. All methods are called in the event loop."""

    def __init__(self) -> None:
        self._readers: dict[UUID, set[Reader]] = defaultdict(set)
        self._due: set[Reader] = set()
        self._is_due = asyncio.Event()
        self._is_stopping = False
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="streams")
        self._subscription = Subscription(on_changes=self.wake, on_text=self._want_text, on_up=self._catch_up)
        self._texts = Texts(on_text=self._offer_texts)
        self._tasks: set[asyncio.Task[None]] = set()
        for loop in (
            *[self._keep_reading] * THREADS, self._keep_looking, self._keep_checking, self._subscription.run,
            self._texts.run,
        ):  # fmt: skip
            self._begin(loop)

    def open(self, follow: Follow) -> Reader:
        reader = Reader(follow, consider=self._consider)
        self._readers[follow.task].add(reader)
        if self._is_stopping:
            reader.end("stop")
        return reader

    def close(self, reader: Reader) -> None:
        """Forget a stream that has ended."""
        self._due.discard(reader)
        readers = self._readers.get(reader.task, set())
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.task, None)
            self._texts.keep(reader.task, ())

    def wake(self, tasks: Iterable[UUID]) -> None:
        """Something has happened to these tasks."""
        for task in tasks:
            for reader in self._readers.get(task, ()):
                reader.is_stale = True
                self._consider(reader)

    def stop(self) -> None:
        """End all streams, and each that comes: the process ends. Their clients resume with another one."""
        self._is_stopping = True
        for reader in self._all():
            reader.end("stop")

    async def shut(self) -> None:
        """Let the process end."""
        self.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def count(self) -> int:
        return sum(map(len, self._readers.values()))

    def _all(self) -> list[Reader]:
        return [reader for readers in self._readers.values() for reader in readers]

    def _begin(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                # A mistake of ours: clients come back and resume, and what reads for them begins again.
                logger.error("a loop of the streams has failed", exc_info=error)
                for reader in self._all():
                    reader.end("stop")
                asyncio.get_running_loop().call_later(AGAIN_S, self._begin, loop)

        task = asyncio.get_running_loop().create_task(loop())
        self._tasks.add(task)
        task.add_done_callback(ended)

    def _consider(self, reader: Reader) -> None:
        """Give a reader that wants a page what there is for it. Its events go before texts."""
        if reader.is_read or not reader.wants:
            return
        if reader.is_stale:
            self._due.add(reader)
            self._is_due.set()
        elif deltas := reader.deltas(self._texts.of(reader.task)):
            reader.give(deltas)

    def _look_at_all(self) -> None:
        self.wake(list(self._readers))

    def _catch_up(self) -> None:
        self._look_at_all()
        for reader in self._all():
            self._want_texts(reader)

    def _want_texts(self, reader: Reader) -> None:
        for job, attempt in (reader.running or {}).items():
            self._texts.want(reader.task, job, attempt)

    def _want_text(self, task: UUID, job: str, attempt: int) -> None:
        if task in self._readers:
            self._texts.want(task, job, attempt)

    def _offer_texts(self, task: UUID) -> None:
        for reader in self._readers.get(task, ()):
            self._consider(reader)

    async def _keep_reading(self) -> None:
        while True:
            await self._is_due.wait()
            if due := self._taken():
                await self._read(due)

    def _taken(self) -> dict[Place, list[Reader]]:
        """Take what is due, at most `PLACES` places; streams at the same place of a task share what is read."""
        taken: dict[Place, list[Reader]] = defaultdict(list)
        while self._due and len(taken) < PLACES:
            reader = self._due.pop()
            reader.is_stale, reader.is_read = False, True
            taken[Place(reader.task, reader.after, reader.running is None)].append(reader)
        if not self._due:
            self._is_due.clear()
        return taken

    async def _read(self, due: dict[Place, list[Reader]]) -> None:
        pages = await self._in_thread(partial(events_after.pages, list(due), limit=PAGE))
        readers = [reader for same in due.values() for reader in same]
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

    def _hand(self, reader: Reader, page: Page, shown: Sequence[events.Event]) -> None:
        if page.seq is not None and reader.after > page.seq:
            # The client knows more than there is: another task's number, or a database that was restored.
            reader.begin_again()
            reader.give([events.RESET])
            return
        # What a job wrote last comes before its end.
        deltas = reader.deltas(self._texts.of(reader.task)) if page.rows else ()
        reader.moved(page.rows, page.running)
        if page.rows:
            reader.is_stale = reader.is_stale or len(page.rows) == PAGE
            reader.give([*deltas, *shown])
        if reader.after == page.seq:
            self._texts.keep(reader.task, reader.running or ())
            if not reader.has_caught_up:
                reader.has_caught_up = True
                self._want_texts(reader)
        if page.seq is None or (page.is_over and reader.after >= page.seq):
            reader.end("done")

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S if self._subscription.is_up else LOOK_WITHOUT_WAKES_S)
            self._look_at_all()

    async def _keep_checking(self) -> None:
        """End the streams of keys that may not read any longer."""
        while True:
            await asyncio.sleep(ACCESS_S)
            held = {reader.access for reader in self._all()}
            lost = await self._in_thread(partial(access.lost, held)) if held else None
            for reader in self._all():
                if lost and reader.access in lost:
                    reader.end("access")

    async def _in_thread(self, question: Callable[[], T]) -> T | None:
        """Ask Postgres; None where it does not answer."""
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _asked, question)
        logger.warning("streams wait for Postgres: %s", caught.error)
        return None


def _asked(question: Callable[[], T]) -> T:
    try:
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
            return question()
        if caught.error is None:
            raise AssertionError("unreachable")
        database.drop_sessions_after(caught.error)
        raise caught.error
    finally:
        database.release()


_hub: Hub | None = None


def of_this_process() -> Hub:
    """The hub of the running event loop, made at first use."""
    global _hub
    if _hub is None:
        _hub = Hub()
    return _hub


def is_begun() -> bool:
    return _hub is not None
