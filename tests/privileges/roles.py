"""Roles within the transaction of a test: nothing of them is left, though roles belong to the whole server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from agentapp.lifecycle.roles import applying, statements
from agentapp.lifecycle.roles.statements import Role
from agentapp.management.processes import WORKERS

# Beside other processes of tests, on the same server.
PREFIX = f"test_{os.getpid()}"
ROLES = {role.process: role for role in statements.roles(PREFIX, WORKERS)}


def make() -> None:
    applying.apply(list(ROLES.values()), {})


@contextmanager
def session_of(process: str) -> Iterator[None]:
    """Let this connection be one of the role of a process, as if it had connected so."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {role(process).name}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET SESSION AUTHORIZATION")


def role(process: str) -> Role:
    return ROLES[process]
