"""Many connections that do something at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

T = TypeVar("T")
SIZE = 16
_TIMEOUT_S = 60


class Together:
    """Sixteen threads, each with a database connection of its own, behind one barrier."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(SIZE)
        self._threads = ThreadPoolExecutor(SIZE)

    def __enter__(self) -> Together:
        # A connection that is still being made would come late to the barrier's opening. Looked up in the thread,
        # because `connection` is another one in each.
        self.at_once([lambda: connection.ensure_connection()] * SIZE)
        return self

    def __exit__(self, *_: object) -> None:
        self.at_once([lambda: connection.close()] * SIZE)
        self._threads.shutdown()

    def at_once(self, actions: Sequence[Callable[[], T]]) -> list[T]:
        """Do sixteen things at the same moment and return what came of each, in order."""
        assert len(actions) == SIZE

        def one(action: Callable[[], T]) -> T:
            self._barrier.wait(_TIMEOUT_S)
            return action()

        begun = [self._threads.submit(one, action) for action in actions]
        return [future.result(_TIMEOUT_S) for future in begun]
