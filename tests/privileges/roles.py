"""Roles within the transaction of a test: nothing of them is left, though roles belong to the whole server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from agentapp.lifecycle.postgresql.bound import BoundCursor
from agentapp.lifecycle.roles import applying, statements
from agentapp.lifecycle.roles.statements import Role
from agentapp.management.processes import WORKERS

# Beside other processes of tests, on the same server.
PREFIX = f"test_{os.getpid()}"
ROLES = {role.process: role for role in statements.roles(PREFIX, WORKERS)}


def make() -> None:
    """What each may do with tables and moves; no policies, which cost a second."""
    with connection.cursor() as cursor:
        for text in statements.statements(list(ROLES.values())):
            cursor.execute(text.as_string(cursor.connection))


def make_bound(*, row_security: bool | None = None) -> None:
    """All that `database_roles --apply` makes. The role of the web process is new, and so bound."""
    with connection.cursor() as cursor:
        # No table is changed while its keys are still to be looked at.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    applying.apply(list(ROLES.values()), {}, row_security=row_security)


@contextmanager
def session_of(process: str) -> Iterator[None]:
    """Let this connection be one of the role of a process, as if it had connected so."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {role(process).name}")
    session: Any = connection.connection
    before, session.cursor_factory = session.cursor_factory, BoundCursor
    try:
        yield
    finally:
        session.cursor_factory = before
        with connection.cursor() as cursor:
            cursor.execute("RESET SESSION AUTHORIZATION")


def role(process: str) -> Role:
    return ROLES[process]
