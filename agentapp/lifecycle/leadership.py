"""The advisory lock of the leading dispatcher."""

from __future__ import annotations

import psycopg

# Any fixed number will do, as long as nobody else in this database uses it.
DISPATCHER_LOCK = 0x6167656E74  # "agent"


def try_lead(session: psycopg.Connection) -> bool:
    """Take the lock for the life of this session, unless another session holds it."""
    row = session.execute("SELECT pg_try_advisory_lock(%s)", (DISPATCHER_LOCK,)).fetchone()
    return bool(row and row[0])


def still_there(session: psycopg.Connection) -> None:
    """Raises psycopg.Error when the session, and with it the lock, is gone."""
    session.execute("SELECT 1")
