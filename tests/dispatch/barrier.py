"""Many connections that do something at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from django.db import connection

from agentapp.lifecycle import database

T = TypeVar("T")
SIZE = 16
_TIMEOUT_S = 120


class Together:
    """Threads, each with a database connection of its own, behind one barrier: sixteen, or another `size`.

    `is_apart`: each makes its own moves, as in as many processes. Else the moves of this process may share a statement.
    """

    def __init__(self, *, is_apart: bool, size: int = SIZE) -> None:
        self._is_apart = is_apart
        self.size = size
        self._barrier = threading.Barrier(size)
        self._threads = ThreadPoolExecutor(size)

    def __enter__(self) -> Together:
        # A connection that is still being made would come late to the barrier's opening. Looked up in the thread,
        # because `connection` is another one in each.
        self.at_once([lambda: connection.ensure_connection()] * self.size)
        return self

    def __exit__(self, *_: object) -> None:
        self.at_once([lambda: connection.close()] * self.size)
        self._threads.shutdown()

    def at_once(self, actions: Sequence[Callable[[], T]]) -> list[T]:
        """Do a thing in each thread at the same moment and return what came of each, in order."""
        assert len(actions) == self.size

        def one(action: Callable[[], T]) -> T:
            self._barrier.wait(_TIMEOUT_S)
            # What waits for locks no longer than that shares no statement with others.
            with database.waits_for_locks(within_s=_TIMEOUT_S) if self._is_apart else nullcontext():
                return action()

        begun = [self._threads.submit(one, action) for action in actions]
        return [future.result(_TIMEOUT_S) for future in begun]
