"""A session that the server has closed is not used.

A server, a proxy or a load balancer closes sessions that were idle for long, and a restart closes all of them. Django
asks a connection once per request whether it lives, which a worker has none of, and psycopg's pool at every use, which
doubles the round trips. The kernel tells without one: a socket that can be read although nothing was asked was closed.
"""

from __future__ import annotations

import select
import time
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

# What was silent for longer is asked: a firewall forgets connections without telling anybody.
ASKED_AFTER_S = 60.0


# When a connection was last found to live.
_seen_at_s: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()


def is_closed_by_server(connection: psycopg.Connection[Any]) -> bool:
    """Look at the socket; ask the server when that was long ago, or there is something to be read. A session in the
    middle of a statement is of no use either."""
    now_s = time.monotonic()
    # A statement that something else than an answer has ended, such as a handler of a signal, is still under way.
    if connection.closed or connection.info.transaction_status == TransactionStatus.ACTIVE:
        return True
    if is_readable(connection) or now_s - _seen_at_s.get(connection, now_s) > ASKED_AFTER_S:
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.Error:
            return True
    _seen_at_s[connection] = now_s
    return False


def is_readable(connection: psycopg.Connection[Any], *, within_s: float = 0) -> bool:
    """Tell whether a session that was asked nothing has something to read, such as its end; wait so long for it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def check(connection: psycopg.Connection[Any]) -> None:
    """Be the `check` of a pool. Raises psycopg.OperationalError for a connection that must not be used."""
    if is_closed_by_server(connection):
        connection.close()
        raise psycopg.OperationalError("the server has closed this session")
