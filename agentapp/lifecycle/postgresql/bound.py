"""Sessions that row-level security binds: each statement carries its tenant context.

A pooler gives each transaction another session, and most statements are a transaction of their own. So the context is
set with the statement, in the same message: Postgres makes one transaction of both (simple query protocol), and at its
end the setting is gone. Nothing is left for the next client of a session, and no round trip is added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Composable

from agentapp.lifecycle import tenant_context

# Policies never bind the owner of the tables. Before the tables are there, nobody is bound.
_IS_BOUND = """
SELECT NOT pg_has_role(session_user, relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('agentapp_workflow')"""


if TYPE_CHECKING:
    # The stubs leave out what Django's is.
    Cursor = psycopg.ClientCursor[Any]
else:
    Cursor = base.Cursor


class BoundCursor(Cursor):
    """A cursor whose statements carry the tenant context of their thread."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        # A transaction that has failed takes nothing but its end, or that of a savepoint.
        if self._pgconn.transaction_status == TransactionStatus.INERROR:
            return super().execute(query, params, **options)
        super().execute(_with_context(query), params, **options)
        self.nextset()
        return self

    def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
        """One by one: a pipeline takes no two statements in one message."""
        done = 0
        for params in params_seq:
            self.execute(query, params)
            done += max(0, self.rowcount)
        self._rowcount = done


def bind(session: psycopg.Connection[Any]) -> None:
    """Let a new session send the context, if it is not one of the owner of the tables."""
    row = session.execute(_IS_BOUND).fetchone()
    if row and row[0]:
        session.cursor_factory = BoundCursor


def is_bound(session: Any) -> bool:
    return getattr(session, "cursor_factory", None) is BoundCursor


def _with_context(query: Any) -> Any:
    setting = f"SET LOCAL {tenant_context.PARAMETER} TO '{tenant_context.present()}'; "
    if isinstance(query, bytes):
        return setting.encode() + query
    return SQL(setting) + query if isinstance(query, Composable) else setting + query
