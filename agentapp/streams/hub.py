"""The one place of a web process that reads events for its open streams.

It lives in the event loop. Wakes only say which tasks to look at; what is due is read for all streams together, by a
thread of a small pool that gives its connection back at once. A wake that is lost costs time and no event, because
every stream is also looked at without one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any
from uuid import UUID

from agentapp.streams import access
from agentapp.streams.following import FollowList, FollowTask, ListReader, TaskReader
from agentapp.streams.list_reading import ListReading
from agentapp.streams.questions import AGAIN_S, THREADS, Questions
from agentapp.streams.reader import Reader
from agentapp.streams.subscription import Subscription
from agentapp.streams.task_reading import TaskReading

logger = logging.getLogger(__name__)

Follow = FollowTask | FollowList
# A stream costs memory and a socket; more are for another process to serve.
MOST_STREAMS = 10_000
# How often streams are looked at without a wake, while wakes come and while they do not.
LOOK_S, LOOK_WITHOUT_WAKES_S = 10.0, 1.5
ACCESS_S = 2.0
SHUT_S = 1.0


class Hub:
    """The open streams of this process. All methods are called in the event loop."""

    def __init__(self) -> None:
        self._is_stopping = False
        self._open: set[Reader] = set()
        self._questions = Questions()
        self._tasks = TaskReading(self._questions)
        self._lists = ListReading(self._questions)
        self._subscription = Subscription(on_changes=self._wake, on_text=self._tasks.want_text, on_up=self._catch_up)
        self._loops: set[asyncio.Task[None]] = set()
        for loop in (
            *[self._tasks.run] * THREADS, self._tasks.texts.run, self._lists.run, self._subscription.run,
            self._keep_looking, self._keep_checking,
        ):  # fmt: skip
            self._begin(loop)

    def open(self, follow: Follow) -> Reader:
        """Begin a stream; it reads when it is asked for its first page."""
        reader = self._tasks.open(follow) if isinstance(follow, FollowTask) else self._lists.open(follow)
        self._open.add(reader)
        if self._is_stopping:
            reader.end("stop")
        return reader

    def close(self, reader: Reader) -> None:
        """Forget a stream that has ended."""
        self._open.discard(reader)
        if isinstance(reader, TaskReader):
            self._tasks.close(reader)
        elif isinstance(reader, ListReader):
            self._lists.close(reader)

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping

    def stop(self) -> None:
        """End all streams, and each that comes: the process ends. Their clients resume with another one."""
        self._is_stopping = True
        for reader in self._open:
            reader.end("stop")

    async def shut(self) -> None:
        """Let the process end."""
        self.stop()
        loops = list(self._loops)
        for loop in loops:
            loop.cancel()
        if loops:
            # One that waits for a server in its own clean-up must not keep the process.
            await asyncio.wait(loops, timeout=SHUT_S)
        self._questions.close()

    @property
    def count(self) -> int:
        """How many streams are open."""
        return len(self._open)

    @property
    def is_full(self) -> bool:
        # Threads ask this too, so nothing is gone through here.
        return self.count >= MOST_STREAMS

    def _begin(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._loops.discard(task)
            if not task.cancelled() and (error := task.exception()):
                # A mistake of ours: clients come back and resume, and what reads for them begins again.
                logger.error("a loop of the streams has failed", exc_info=error)
                for reader in self._open:
                    reader.end("stop")
                asyncio.get_running_loop().call_later(AGAIN_S, self._begin, loop)

        task = asyncio.get_running_loop().create_task(loop())
        self._loops.add(task)
        task.add_done_callback(ended)

    def _wake(self, tasks: Iterable[UUID]) -> None:
        self._tasks.wake(tasks)
        self._lists.look()

    def _catch_up(self) -> None:
        self._tasks.catch_up()
        self._lists.look()

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        looked_s = loop.time()
        while True:
            await asyncio.sleep(LOOK_WITHOUT_WAKES_S)
            if not self._subscription.is_up or loop.time() - looked_s >= LOOK_S:
                looked_s = loop.time()
                self._tasks.look()
                self._lists.look()

    async def _keep_checking(self) -> None:
        """End the streams of keys that may not read any longer."""
        while True:
            await asyncio.sleep(ACCESS_S)
            held = {reader.access for reader in self._open}
            lost = await self._questions.ask(partial(access.lost, held)) if held else None
            for reader in self._open:
                if lost and reader.access in lost:
                    reader.end("access")


_hub: Hub | None = None


def of_this_process() -> Hub:
    """The hub of the running event loop, made at first use."""
    global _hub
    if _hub is None:
        _hub = Hub()
    return _hub


def is_full() -> bool:
    """Tell whether this process serves as many streams as it may."""
    return _hub is not None and _hub.is_full
