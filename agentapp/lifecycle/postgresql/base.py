"""Every session is READ COMMITTED, whatever the server's default is.

A move waits for a lock and reads again in a later statement. Under REPEATABLE READ that statement would see the
snapshot from before the lock: eight jobs ran behind a gate for one. It is set by a statement and not by a start-up
parameter, which PgBouncer refuses; psycopg's own isolation level does nothing in autocommit.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db.backends.postgresql import base


def configure(session: psycopg.Connection[Any]) -> None:
    """Prepare a new session for moves."""
    session.execute("SET default_transaction_isolation TO 'read committed'")


class DatabaseWrapper(base.DatabaseWrapper):
    def _configure_connection(self, connection: psycopg.Connection[Any]) -> bool:
        """Called by Django for each new connection, in a pool or alone. True: what was set is to be committed."""
        super()._configure_connection(connection)  # type: ignore[misc]  # private, and so without a type
        configure(connection)
        return True
