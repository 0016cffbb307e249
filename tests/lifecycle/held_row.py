"""A row that somebody else holds for a while: moves that need it line up behind it in a known order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, connections

_TIMEOUT_S = 120
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Line:
    """Those who wait for the row. `join` returns when the new one waits too."""

    def __init__(self, holder: psycopg.Connection[Any], threads: ThreadPoolExecutor) -> None:
        self._holder = holder
        self._threads = threads
        self._members: list[Future[Any]] = []

    def join(self, act: Callable[[], Any]) -> None:
        def one() -> Any:
            try:
                return act()
            finally:
                connections.close_all()

        self._members.append(self._threads.submit(one))
        until(lambda: self._waiting() >= len(self._members))

    def _waiting(self) -> int:
        self._holder.execute("SELECT pg_stat_clear_snapshot()")
        row = self._holder.execute(_WAITING).fetchone()
        return int(row[0]) if row else 0

    def release(self) -> list[Any]:
        """Let them through, and return what each came to, in the order in which they joined."""
        self._holder.rollback()
        return [member.result(_TIMEOUT_S) for member in self._members]


@contextmanager
def held(table: str, row: UUID | str, *, column: str = "id") -> Iterator[Line]:
    with (
        ThreadPoolExecutor(8) as threads,
        psycopg.connect(**connection.get_connection_params()) as holder,
    ):
        holder.execute(f"SELECT 1 FROM {table} WHERE {column} = %s FOR UPDATE", [row])
        yield Line(holder, threads)


def until(is_so: Callable[[], bool]) -> None:
    """Look at rows until something is so."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline_s, "it never came to that"
        time.sleep(0.01)
