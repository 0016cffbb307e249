"""Every session is READ COMMITTED, whatever the server's default is, and is looked at before it is used.

A move waits for a lock and reads again in a later statement. Under REPEATABLE READ that statement would see the
snapshot from before the lock: eight jobs ran behind a gate for one. It is set by a statement and not by a start-up
parameter, which PgBouncer refuses; psycopg's own isolation level does nothing in autocommit.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool

from agentapp.lifecycle.postgresql import bound, limits, liveness
from agentapp.lifecycle.postgresql.client import DatabaseClient


def configure(session: psycopg.Connection[Any]) -> None:
    """Prepare a new session for moves."""
    session.execute("SET default_transaction_isolation TO 'read committed'")


def is_direct(session: psycopg.Connection[Any]) -> bool:
    """Tell whether a session is one with Postgres itself. A connection pooler tells its clients numbers of its own."""
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] == session.info.backend_pid


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient
    # Of Django's class; the stubs leave it out.
    _connection_pools: dict[str, Any]

    @property
    def pool(self) -> Any:
        options = self.settings_dict["OPTIONS"].get("pool")
        if options and self.alias != NO_DB_ALIAS and self.alias not in self._connection_pools:
            prepare: Any = self._configure_connection
            pool = ConnectionPool(
                kwargs={**self.get_connection_params(), "autocommit": True}, open=False, configure=prepare,
                check=liveness.check, **options,
            )  # fmt: skip
            # Threads may come here together: the first one wins, and no pool is open yet.
            self._connection_pools.setdefault(self.alias, pool)
        return super().pool

    def close_if_health_check_failed(self) -> None:
        """Called by Django before each use. Within a transaction a new connection would save nothing."""
        if self.connection is not None and not self.in_atomic_block and liveness.is_closed_by_server(self.connection):
            self.close()

    def _configure_connection(self, connection: psycopg.Connection[Any]) -> bool:
        """Called by Django for each new connection, in a pool or alone. True: what was set is to be committed."""
        super()._configure_connection(connection)  # type: ignore[misc]  # private, and so without a type
        configure(connection)
        # Not for sessions of one's own: what holds them has limits of its own.
        limits.apply(connection)
        bound.bind(connection)
        return True

    def chunked_cursor(self) -> Any:
        """A cursor that lives beyond its statement would see what another context allows: a bound session reads all at
        once, as behind a pooler."""
        self.ensure_connection()
        return self.cursor() if bound.is_bound(self.connection) else super().chunked_cursor()
