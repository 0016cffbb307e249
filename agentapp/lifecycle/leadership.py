"""The advisory lock of the leading dispatcher, and the channel on which it is woken."""

from __future__ import annotations

import psycopg

from agentapp.lifecycle import database

# Any fixed number will do, as long as nobody else in this database uses it.
DISPATCHER_LOCK = 0x6167656E74  # "agent"
CHANNEL = "agentapp_dispatch"


def try_lead(session: psycopg.Connection) -> bool:
    """Take the lock for the life of this session, unless another session holds it, and listen."""
    row = session.execute("SELECT pg_try_advisory_lock(%s)", (DISPATCHER_LOCK,)).fetchone()
    if row and row[0]:
        session.execute(f"LISTEN {CHANNEL}")
        return True
    return False


def still_there(session: psycopg.Connection) -> None:
    """Raises psycopg.Error when the session, and with it the lock, is gone."""
    session.execute("SELECT 1")


def woken(session: psycopg.Connection, *, within_s: float) -> bool:
    """Wait until somebody notifies, at most so many seconds. Raises psycopg.Error when the session is gone."""
    return any(True for _ in session.notifies(timeout=within_s, stop_after=1))


def notify() -> None:
    """Wake the leading dispatcher, once the transaction around it has committed. Raises Unavailable.

    Never within a claim or a settle: a NOTIFY takes a database-wide lock until its commit has reached the disk.
    """
    database.statement("SELECT pg_notify(%s, '')", [CHANNEL])
