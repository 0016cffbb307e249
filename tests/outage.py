"""A Postgres that refuses, has no connection left, closes its sessions, or only reads, for the database of one test.

Done to the real server over its own protocol: no code of ours is replaced.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.test import override_settings
from psycopg import sql
from psycopg.pq import TransactionStatus

from agentapp.lifecycle.postgresql.base import DatabaseWrapper
from agentapp.policies import faults
from agentapp.policies.faults import Fault

_SLEEPS = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query LIKE '%%pg_sleep%%'"
Away = Callable[[], AbstractContextManager[None]]


@contextmanager
def _control() -> Iterator[psycopg.Connection]:
    """A session with another database of the same server."""
    parameters = {**connection.get_connection_params(), "dbname": "postgres"}
    with psycopg.connect(**parameters, autocommit=True) as session:
        yield session


def _alter(change: str) -> None:
    name = sql.Identifier(str(connection.settings_dict["NAME"]))
    with _control() as session:
        session.execute(sql.SQL("ALTER DATABASE {} " + change).format(name))


def close_sessions() -> int:
    """End all sessions with this database, as a restart does, or a load balancer after a quiet spell."""
    with _control() as session:
        return _close_sessions(session)


def _close_sessions(control: psycopg.Connection) -> int:
    ended = control.execute(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = %s",
        (connection.settings_dict["NAME"],),
    ).fetchone()
    return int(ended[0]) if ended else 0


@contextmanager
def refusing() -> Iterator[None]:
    """No session is left, and no new one is taken."""
    _alter("ALLOW_CONNECTIONS false")
    try:
        close_sessions()
        yield
    finally:
        _alter("ALLOW_CONNECTIONS true")


def _refusal() -> str:
    """What is said to a new session, or nothing."""
    try:
        psycopg.connect(**connection.get_connection_params()).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


@contextmanager
def exhausted() -> Iterator[None]:
    """No session is left, and for a new one there are too many already (53300): those of the role of new sessions."""
    role, password = f"few_{os.getpid()}", secrets.token_hex()
    own = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    with _control() as session:
        session.execute(
            sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 0 PASSWORD {}").format(sql.Identifier(role), password)
        )
        # Of all threads: it is one dictionary.
        connection.settings_dict.update(USER=role, PASSWORD=password)
        try:
            _close_sessions(session)
            assert "too many connections" in _refusal()
            yield
        finally:
            connection.settings_dict.update(own)
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@contextmanager
def pool_of_one() -> Iterator[Away]:
    """Threads that begin within have a pool of one connection, as those of a worker have one of some. What it yields
    holds that one, and then nobody waits for it for long.
    """
    own = connections.settings[DEFAULT_DB_ALIAS]
    pool = {"min_size": 0, "max_size": 1, "timeout": 60.0}
    pooled = {**own, "OPTIONS": {**own["OPTIONS"], "pool": pool}, "CONN_MAX_AGE": 0}
    holder = DatabaseWrapper(pooled, alias=DEFAULT_DB_ALIAS)

    @contextmanager
    def used_up() -> Iterator[None]:
        holder.ensure_connection()
        holder.pool.timeout = 0.1
        try:
            yield
        finally:
            holder.close()

    connections.settings[DEFAULT_DB_ALIAS] = pooled
    try:
        yield used_up
    finally:
        connections.settings[DEFAULT_DB_ALIAS] = own
        holder.close_pool()


class CutShort(BaseException):
    """What a handler of a signal raises in the middle of a statement."""


def cut_short() -> None:
    """Begin a statement in this thread, the main one, and end it before its answer: the session stays in its middle."""

    def cut(*_: object) -> None:
        raise CutShort

    def cut_when_it_runs() -> None:
        with _control() as control:
            while not control.execute(_SLEEPS, (backend,)).fetchone():
                pass
        os.kill(os.getpid(), signal.SIGUSR1)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
        before = signal.signal(signal.SIGUSR1, cut)
        cutter = threading.Thread(target=cut_when_it_runs)
        cutter.start()
        try:
            cursor.execute("SELECT pg_sleep(60)")
        except CutShort:
            assert connection.connection.info.transaction_status == TransactionStatus.ACTIVE
        finally:
            cutter.join()
            signal.signal(signal.SIGUSR1, before)


@contextmanager
def only_reading() -> Iterator[None]:
    """The server is a replica: this thread's session, and every new one."""
    _alter("SET default_transaction_read_only = on")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        yield
    finally:
        _alter("RESET default_transaction_read_only")
        with faults.caught(Fault.OUTAGE):
            connection.close()


@contextmanager
def impatient(*, lock_s: float) -> Iterator[None]:
    """New sessions of this process wait no longer than this for a row that somebody holds."""
    with override_settings(AGENTAPP_LOCK_TIMEOUT_S=lock_s):
        yield


@contextmanager
def locked(workflow_id: UUID) -> Iterator[None]:
    """Somebody holds a task's row, as a person in psql does who has gone for lunch."""
    with psycopg.connect(**connection.get_connection_params()) as session:
        session.execute("SELECT 1 FROM agentapp_workflow WHERE id = %s FOR UPDATE", (workflow_id,))
        yield


@contextmanager
def trigger(condition: str, action: str, *, table: str = "agentapp_job") -> Iterator[None]:
    """Postgres does `action` before each write of a row that meets `condition`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {action}; RETURN NEW; END $$;"
            f"CREATE TRIGGER hinder BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN ({condition}) "
            "EXECUTE FUNCTION hinder()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION hinder CASCADE")
