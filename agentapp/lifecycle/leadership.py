"""The lease of the leading dispatcher, and the channel on which it is woken."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import psycopg

from agentapp import conf
from agentapp.lifecycle import database
from agentapp.observability import events

CHANNEL = "agentapp_dispatch"


def lead(
    session: psycopg.Connection, *, holder: str, epoch: int | None, lease_s: float, report: Mapping[str, Any]
) -> int | None:
    """Renew the lease that `holder` has under `epoch`, or take it when it is free; return the epoch, None while
    somebody else leads.

    The lease is free when it has run out, or when the direct session of its holder is gone. Where a replica became this
    database, what it may lack is in doubt from here on. Raises psycopg.Error.
    """
    answer = database.ask(
        session, "lead", holder=holder, epoch=epoch, lease_s=lease_s, report=report,
        backend_pid=session.info.backend_pid, lacks_nothing=conf.replica_lacks_nothing(),
    )  # fmt: skip
    if answer.get("noted"):
        events.emit("postgres.promoted", level=logging.WARNING, lacks_nothing=conf.replica_lacks_nothing())
    return int(answer["epoch"]) if answer["leads"] else None


def resign(session: psycopg.Connection, *, holder: str, epoch: int) -> None:
    """Free the lease, if it is still this holder's. Raises psycopg.Error."""
    database.ask(session, "resign", holder=holder, epoch=epoch)


def hears(session: psycopg.Connection) -> bool:
    """Listen in this session; False where a pooler stands between, which would pass nothing on."""
    if not database.is_direct(session):
        return False
    session.execute(f"LISTEN {CHANNEL}")
    return True


def woken(session: psycopg.Connection, *, within_s: float) -> bool:
    """Wait until somebody notifies, at most so many seconds. Raises psycopg.Error when the session is gone."""
    return any(True for _ in session.notifies(timeout=within_s, stop_after=1))


def notify() -> None:
    """Wake the leading dispatcher, once the transaction around it has committed. Raises Unavailable.

    Never within a claim or a settle: a NOTIFY takes a database-wide lock until its commit has reached the disk.
    """
    database.statement("SELECT pg_notify(%s, '')", [CHANNEL])
