"""The way to Postgres for state moves: one function call, one round trip, autocommit."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from agentapp import clock
from agentapp.errors import Unavailable
from agentapp.lifecycle import function_set
from agentapp.lifecycle.postgresql.base import configure

# Two moves met in an order that neither planned: do it again. (deadlock detected, serialization failure)
REPEATED_SQLSTATES = frozenset({"40P01", "40001"})
REPEATS = 5


def call(function: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Call a move by its name with a JSON object and return its answer.

    Raises:
        Unavailable: Postgres does not answer; the move may or may not have happened.
        django.db.DatabaseError: Postgres refused the data.
    """
    moment = clock.fixed()
    if moment is not None:
        payload = payload | {"now": moment.isoformat()}
    return json.loads(_row(f"SELECT {function_set.SCHEMA}.{function}(%s::jsonb)", [json.dumps(payload)]))  # type: ignore[no-any-return]


def statement(text: str, parameters: list[Any]) -> None:
    """Run one statement that answers with one row, in autocommit. Raises Unavailable."""
    _row(text, parameters)


def _row(statement: str, parameters: list[Any]) -> Any:
    for repeat in range(REPEATS):
        try:
            with connection.wrap_database_errors, _cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchone()[0]
        except (OperationalError, InterfaceError) as error:
            if sqlstate(error) in REPEATED_SQLSTATES and not connection.in_atomic_block and repeat < REPEATS - 1:
                time.sleep(0.005 * (repeat + 1) * (1 + random.random()))  # noqa: S311 - jitter
                continue
            raise unavailable(error) from error
    raise AssertionError("unreachable")


def session() -> psycopg.Connection:
    """A connection of one's own, beside Django's and its pool: what lives as long as a session, such as a lock.

    Raises:
        psycopg.Error: Postgres does not answer.
    """
    own = psycopg.connect(**connection.get_connection_params(), autocommit=True)
    configure(own)
    return own


def _pool() -> Any:
    """The psycopg pool that Django was told to use, or None."""
    return getattr(connection, "pool", None)


@contextmanager
def _cursor() -> Iterator[Any]:
    """A cursor in autocommit.

    Straight from the pool where this thread holds no connection of Django's: taking one through Django for a single
    statement costs more than the statement.
    """
    pool = _pool() if connection.connection is None else None
    if pool is None:
        with connection.cursor() as cursor:
            yield cursor
        return
    pool.open()
    taken = pool.getconn()
    try:
        with taken.cursor() as cursor:
            yield cursor
    finally:
        pool.putconn(taken)


def sqlstate(error: DatabaseError | InterfaceError) -> str | None:
    """Return Postgres's own code for an error, or None when it never answered."""
    return getattr(error.__cause__, "sqlstate", None)


def unavailable(error: DatabaseError | InterfaceError) -> Unavailable:
    """Drop broken connections, so that the next use makes a new one."""
    if not connection.in_atomic_block:
        connection.close()
        if pool := _pool():
            # The others of the pool may be as dead as this one; each would cost another failure.
            pool.check()
    return Unavailable(f"Postgres does not answer ({str(error).strip().splitlines()[0]}). Try again in a moment.")


def release() -> None:
    """Give the connection back before something slow.

    In a worker with threads it returns to the pool; elsewhere it stays open, because a process that has only one pays
    4 ms for each new one.
    """
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()
