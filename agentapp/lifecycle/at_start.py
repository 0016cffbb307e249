"""What a process looks at when it starts: whether Postgres has room for its connections, a pooler its limits, and its
role what this release needs."""

from __future__ import annotations

import json
import logging
import os
import threading

from django.db import connection

from agentapp.lifecycle import database
from agentapp.lifecycle.postgresql import limits
from agentapp.lifecycle.roles import looks
from agentapp.observability import events
from agentapp.policies import connections, faults, time_limits
from agentapp.policies.connections import Room
from agentapp.policies.faults import Fault

# What the role of this session may have. How many there are is told to everybody, whose they are is not.
_ROOM = """
SELECT jsonb_build_object(
  'most', least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - coalesce(current_setting('reserved_connections', true), '0')::int,
    (SELECT CASE WHEN rolconnlimit < 0 THEN 1000000 ELSE rolconnlimit END FROM pg_roles WHERE rolname = session_user),
    (SELECT CASE WHEN datconnlimit < 0 THEN 1000000 ELSE datconnlimit END FROM pg_database
      WHERE datname = current_database())),
  'used', (SELECT sum(numbackends) FROM pg_stat_database) - 1,
  'statement_timeout', current_setting('statement_timeout'))"""
# With which a process ends that a setting lets do nothing.
CONFIGURATION = 2
NO_LIMIT = (
    "A pooler stands between this process and Postgres, so that no statement has a time limit: set statement_timeout "
    "and lock_timeout for its role, as `manage.py database_roles --apply` does."
)


def look(asked: int) -> None:
    """Log what is not as it should be, in a thread of its own: nothing waits for it. A server that `sslmode` refuses
    ends the process: to wait for it, as for one that is away, would not help."""
    threading.Thread(target=_look, args=(asked,), name="at_start", daemon=True).start()


def _look(asked: int) -> None:
    with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
        try:
            for sentence in problems(asked):
                events.emit("postgres.start", level=logging.WARNING, problem=sentence)
        finally:
            connection.close()
    if caught.error and (sentence := refusal()):
        events.emit("postgres.start", level=logging.ERROR, problem=sentence)
        os._exit(CONFIGURATION)


def refusal() -> str:
    """Why `sslmode` refuses the server; empty where it does not. A pool of connections would not say so."""
    with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
        database.session().close()
    return connections.untrusted(str(caught.error or ""))


def problems(asked: int) -> list[str]:
    """Raises Unavailable, DatabaseBusy."""
    of_role = looks.own_problems(limits.process())
    if is_pooled():
        lacks = limits.present() != time_limits.NONE and _found()["statement_timeout"] == "0"
        return [*of_role, NO_LIMIT] if lacks else of_role
    sentence = connections.problem(asked, room(), process=limits.process())
    return [*of_role, sentence] if sentence else of_role


def is_pooled() -> bool:
    """Whether a pooler stands between: how many connections it makes, its own configuration says."""
    connection.ensure_connection()
    return not database.is_direct(connection.connection)


def room() -> Room:
    """Raises Unavailable, DatabaseBusy."""
    found = _found()
    return Room(most=int(found["most"]), used=int(found["used"]))


def _found() -> dict[str, str]:
    found = database.statement(_ROOM, [])
    return dict(json.loads(found) if isinstance(found, str) else found)
