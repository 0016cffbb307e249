"""A Postgres that refuses, closes its sessions, or only reads, for the database of one test.

Done to the real server over its own protocol: no code of ours is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from django.db import connection
from django.test import override_settings
from psycopg import sql

from agentapp.policies import faults
from agentapp.policies.faults import Fault


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
        ended = session.execute(
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
