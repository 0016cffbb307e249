"""The way to Postgres for state moves: one function call, one round trip, autocommit."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from django.db.models.functions import Now

from agentapp import clock
from agentapp.errors import AgentappError, DatabaseBusy, Unavailable
from agentapp.lifecycle import changes, invocation
from agentapp.lifecycle.invocation import Jsonb as Jsonb
from agentapp.lifecycle.postgresql.base import configure
from agentapp.lifecycle.postgresql.base import is_direct as is_direct
from agentapp.policies import faults, storable
from agentapp.policies.faults import Fault

# A move that met another one in an order that neither planned is made this often at most.
REPEATS = 5
# The server takes no writes: the primary is elsewhere by now.
READ_ONLY = "25006"
# Somebody holds a row for longer than this caller waits.
LOCKED = "55P03"

_thread = threading.local()


@contextmanager
def waits_for_locks(*, within_s: float) -> Iterator[None]:
    """Let the moves that this thread makes in the block wait for a locked row no longer than this.

    It travels with each statement, because a connection pooler keeps no settings of a session.
    """
    _thread.lock_wait_s = within_s
    try:
        yield
    finally:
        _thread.lock_wait_s = 0.0


@contextmanager
def atomic() -> Iterator[None]:
    """A transaction of Django's whose statements wait for a locked row no longer than the moves of this thread."""
    with transaction.atomic():
        if wait_s := getattr(_thread, "lock_wait_s", 0.0):
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{wait_s * 1000:.0f}ms"])
        yield


def is_bounded() -> bool:
    """Tell whether the moves of this thread have a session or a time limit of their own."""
    return bool(getattr(_thread, "session", None) or getattr(_thread, "lock_wait_s", 0.0))


def call(function: str, /, **arguments: Any) -> dict[str, Any]:
    """Call a move by its name with the arguments that it has, and return its answer.

    Objects become JSON, lists arrays; a list that is to become JSON is given as `Jsonb(list)`.

    Raises:
        Unavailable: Postgres does not answer, or only reads; the move may or may not have happened.
        DatabaseBusy: it took too long, or a lock was not free in time.
        django.db.DatabaseError: Postgres refused the data, or the move has no such argument.
    """
    return _answered(function, arguments)  # type: ignore[no-any-return]


def call_many(function: str, /, *, locks_within_s: float = 0.0, **arguments: Any) -> list[dict[str, Any] | None]:
    """Call a move that is made for a list, and return its answers in the order of `items`.

    With `locks_within_s` it waits no longer than that for a locked row, and is tried once. Raises like `call`.
    """
    return _answered(function, arguments, locks_within_s=locks_within_s)  # type: ignore[no-any-return]


def _answered(function: str, arguments: dict[str, Any], *, locks_within_s: float = 0.0) -> Any:
    moment = clock.fixed()
    if moment is not None:
        arguments["now"] = moment
    text, parameters = invocation.by_name(function, arguments)
    wait_s = locks_within_s or getattr(_thread, "lock_wait_s", 0.0)
    limit = f"set_config('lock_timeout', '{wait_s * 1000:.0f}ms', true), " if wait_s else ""
    answer = json.loads(_row(f"SELECT {limit}{text}", parameters, tries=1 if locks_within_s else REPEATS))
    changes.tell(answer)
    return answer


def ask(session: psycopg.Connection, function: str, /, **arguments: Any) -> dict[str, Any]:
    """Call a move in a session of its own, with arguments as in `call`. Raises psycopg.Error."""
    if (moment := clock.fixed()) is not None:
        arguments["now"] = moment
    text, parameters = invocation.by_name(function, arguments)
    # As text, because Django tells some connections to leave JSON alone, and others not.
    row = session.execute(f"SELECT {text}::text", parameters).fetchone()
    return json.loads(row[0]) if row else {}


def statement(text: str, parameters: list[Any]) -> Any:
    """Run one statement that answers with one row, in autocommit, and return its last column.

    Raises Unavailable, DatabaseBusy.
    """
    return _row(text, parameters)


def now() -> datetime:
    """The present moment by Postgres's own clock, with which rows are compared: that of this machine may be wrong by
    hours. One round trip; raises like `statement`."""
    present: datetime = clock.fixed() or _row("SELECT clock_timestamp()", [])
    return present


def moment() -> datetime | Now:
    """The same as part of a query, which Postgres itself fills in: no round trip."""
    return clock.fixed() or Now()


def _row(statement: str, parameters: list[Any], *, tries: int = REPEATS) -> Any:
    for repeat in range(tries):
        try:
            with connection.wrap_database_errors, _cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchone()[-1]
        except Error as error:
            if faults.of(error) is Fault.CONTENTION and not connection.in_atomic_block and repeat < tries - 1:
                time.sleep(0.005 * (repeat + 1) * (1 + random.random()))  # noqa: S311 - jitter
                continue
            meaning = translated(error)
            if meaning is None:
                raise
            raise meaning from error
    raise AssertionError("unreachable")


def translated(error: Exception) -> AgentappError | None:
    """Return what a failure of Postgres means to a caller, None when there is a mistake in what was asked."""
    fault = faults.of(error)
    words = (storable.message(error).strip() or type(error).__name__).splitlines()[0]
    if fault is Fault.OUTAGE:
        drop_sessions_after(error)
        return Unavailable(f"Postgres does not answer ({words}). Try again in a moment.")
    if fault in {Fault.LIMIT, Fault.CONTENTION}:
        return DatabaseBusy(f"Postgres is busy ({words}). Try again in a moment.")
    return None


def is_away(error: Exception) -> bool:
    """Tell whether a move failed because Postgres cannot be reached, or cannot write, and not because of its item."""
    return isinstance(error, Unavailable | Error | psycopg.Error) and faults.of(error) is Fault.OUTAGE


def is_locked(error: BaseException | None) -> bool:
    """Tell whether a move failed because somebody else holds a row."""
    while error is not None:
        if faults.sqlstate(error) == LOCKED:
            return True
        error = error.__cause__
    return False


def locked_workflows(workflow_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these tasks somebody else holds at this moment."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM agentapp_workflow WHERE id = ANY(%s) FOR NO KEY UPDATE SKIP LOCKED", [list(workflow_ids)]
        )
        return set(workflow_ids) - {row[0] for row in cursor.fetchall()}


def drop_sessions_after(error: Exception) -> None:
    """Drop what is of no use after an outage, so that the next use makes a new session, with the new primary."""
    if faults.of(error) is Fault.OUTAGE:
        drop_sessions(is_read_only=faults.sqlstate(error) == READ_ONLY)


def drop_sessions(*, is_read_only: bool) -> None:
    """Close this thread's connection; of a server that only reads those of the pool too, which look well."""
    if connection.in_atomic_block:
        return
    if is_read_only and (pool := _pool()):
        pool.drain()
    connection.close()


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


def close_pool() -> None:
    """Close the pool of this process, which ends."""
    if (pool := _pool()) is not None:
        pool.close(timeout=1.0)


@contextmanager
def _cursor() -> Iterator[Any]:
    """A cursor in autocommit.

    Straight from the pool where this thread holds no connection of Django's: taking one through Django for a single
    statement costs more than the statement.
    """
    own = getattr(_thread, "session", None)
    if own is not None:
        with own.cursor() as cursor:
            yield cursor
        return
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


@contextmanager
def own_session(*, lock_timeout_s: float, statement_timeout_s: float) -> Iterator[None]:
    """Make this thread's moves over a session of its own, which waits for nothing longer than that.

    For what must not stand in line: the pool's connections may all be in use. Raises Unavailable.
    """
    try:
        own = session()
        if is_direct(own):
            # Behind a pooler it would stay with a session that others get.
            own.execute("SELECT set_config('statement_timeout', %s, false)", (f"{statement_timeout_s * 1000:.0f}ms",))
    except psycopg.Error as error:
        raise Unavailable(f"Postgres does not answer ({error}).") from error
    _thread.session = own
    try:
        with waits_for_locks(within_s=lock_timeout_s):
            yield
    finally:
        _thread.session = None
        own.close()


def refusal(error: Error) -> str | None:
    """Return the sentence with which a move refused what it was given (22023), None for any other error."""
    cause = error.__cause__
    if faults.sqlstate(error) != "22023" or not isinstance(cause, psycopg.Error) or not cause.diag.message_primary:
        return None
    message = cause.diag.message_primary
    return f"{message[0].upper()}{message[1:]}."


def leave() -> None:
    """Give the connection back because this thread ends, and nobody would."""
    own = connections[DEFAULT_DB_ALIAS]
    if own.connection is not None and not own.in_atomic_block:
        own.close()


def release() -> None:
    """Give the connection back before something slow.

    In a worker with threads it returns to the pool; elsewhere it stays open, because a process that has only one pays
    4 ms for each new one.
    """
    own = connections[DEFAULT_DB_ALIAS]
    if own.connection is not None and not own.in_atomic_block and own.settings_dict["OPTIONS"].get("pool"):
        own.close()
