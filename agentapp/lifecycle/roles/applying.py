"""Make the roles in Postgres, over the connection of the owner of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from django.db import connection

from agentapp.lifecycle import database
from agentapp.lifecycle.roles import statements
from agentapp.lifecycle.roles.statements import Role

# Parts of an address that hold for every role that uses it.
_KEPT = ("sslmode", "sslrootcert", "target_session_attrs")


def script(roles: Sequence[Role]) -> str:
    """Return the statements, without passwords."""
    with connection.cursor() as cursor:
        return "\n".join(f"{text.as_string(cursor.connection)};" for text in statements.statements(roles))


def apply(roles: Sequence[Role], passwords: Mapping[str, str]) -> None:
    """Make the roles as they are to be, all or nothing. Passwords are sent as verifiers: no log shows them."""
    with database.atomic(), connection.cursor() as cursor:
        for text in statements.statements(roles, _verifiers(cursor.connection, passwords)):
            cursor.execute(text.as_string(cursor.connection))


def without_password(roles: Sequence[Role]) -> list[str]:
    """Return the roles that have none, as far as this connection may see that."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('pg_authid', 'SELECT')")
        if not cursor.fetchone()[0]:
            return []
        names = [role.name for role in roles]
        cursor.execute("SELECT rolname FROM pg_authid WHERE rolname = ANY(%s) AND rolpassword IS NULL", [names])
        return sorted(name for (name,) in cursor.fetchall())


def address(role: Role, password: str) -> str:
    """Return the address of this database for a role."""
    parameters: dict[str, Any] = connection.get_connection_params()
    host, port = str(parameters.get("host") or ""), str(parameters.get("port") or "")
    more = {name: str(parameters[name]) for name in _KEPT if name in parameters}
    if host.startswith("/") or "," in host:
        # The directory of a socket, or several servers.
        more, host = {"host": host, **({"port": port} if port else {}), **more}, ""
    server = f"{host}:{port}" if host and port else host
    query = f"?{urlencode(more)}" if more else ""
    return f"postgresql://{role.name}:{quote(password, safe='')}@{server}/{quote(str(parameters['dbname']))}{query}"


def _verifiers(session: psycopg.Connection[Any], passwords: Mapping[str, str]) -> dict[str, str]:
    return {
        name: session.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        for name, password in passwords.items()
    }
