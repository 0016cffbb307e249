"""Make the roles in Postgres, over the connection of the owner of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from django.db import connection
from psycopg.sql import SQL, Composable

from agentapp.lifecycle import database
from agentapp.lifecycle.roles import policies, statements
from agentapp.lifecycle.roles.statements import Role
from agentapp.policies import faults
from agentapp.policies.faults import Fault

# Parts of an address that hold for every role that uses it.
_KEPT = ("sslmode", "sslrootcert", "target_session_attrs")


# A statement that holds a table for longer is waited for again, so that what comes behind us is not held up meanwhile.
_LOCK_WAIT_S, _TRIES = 2.0, 10


def script(roles: Sequence[Role], *, row_security: bool | None = None) -> str:
    """Return the statements, without passwords. Row-level security binds the same roles as in `apply`."""
    is_new = _are_new(roles)
    found = [
        *_first(roles, {}, is_new=is_new, row_security=row_security),
        *(text for group in statements.groups(roles) for table in policies.tables()
          for text in policies.table_statements(table, group)),
        *(() if row_security is None else _switched(roles, row_security)),
    ]  # fmt: skip
    with connection.cursor() as cursor:
        return "\n".join(f"{text.as_string(cursor.connection)};" for text in found)


def apply(roles: Sequence[Role], passwords: Mapping[str, str], *, row_security: bool | None = None) -> None:
    """Make the roles as they are to be. Passwords are sent as verifiers: no log shows them.

    Row-level security binds the roles that are new, and those that it bound before; `row_security` says another thing:
    processes of a release that knows no tenant context would see nothing.

    Raises:
        django.db.Error: Postgres refused it, or a table was in use all the time. What is made is whole, table by table.
    """
    is_new = _are_new(roles)
    with database.atomic(), connection.cursor() as cursor:
        verifiers = _verifiers(cursor.connection, passwords)
        for text in _first(roles, verifiers, is_new=is_new, row_security=row_security):
            cursor.execute(text.as_string(cursor.connection))
    for group in statements.groups(roles):
        for table in policies.tables():
            _protect(table, group)
    if row_security is not None:
        with database.atomic(), connection.cursor() as cursor:
            for text in _switched(roles, row_security):
                cursor.execute(text.as_string(cursor.connection))


def _first(
    roles: Sequence[Role], verifiers: Mapping[str, str], *, is_new: bool, row_security: bool | None
) -> list[Composable]:
    """What makes the roles. New ones are bound at once: when a run is killed before the policies are there, they are no
    longer new for the next one."""
    binds = is_new and row_security is None
    made = statements.statements(roles, verifiers, bound=_bound(roles))
    return [*made, *(_switched(roles, True) if binds else ())]


def unbound(roles: Sequence[Role]) -> list[str]:
    """Return the roles that row-level security could bind, and does not."""
    bound = _bound(roles)
    return [role.name for role in roles if role.group and role.name not in bound]


def _protect(table: str, group: str) -> None:
    """One table at a time: to hold several locks would be to meet moves that hold some of them."""
    for left in reversed(range(_TRIES)):
        with faults.caught(Fault.CONTENTION, Fault.LIMIT) as caught:
            with database.waits_for_locks(within_s=_LOCK_WAIT_S), database.atomic(), connection.cursor() as cursor:
                cursor.execute(SQL("; ").join(policies.table_statements(table, group)).as_string(cursor.connection))
            return
        if not left and caught.error:
            raise caught.error


def _switched(roles: Sequence[Role], is_on: bool) -> list[Composable]:
    change = policies.bound if is_on else policies.released
    return [change(role.name, role.group) for role in roles if role.group]


def _are_new(roles: Sequence[Role]) -> bool:
    """Whether the server has none of those that row-level security could bind."""
    with connection.cursor() as cursor:
        names = [role.name for role in roles if role.group]
        cursor.execute("SELECT NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = ANY(%s))", [names])
        return bool(cursor.fetchone()[0])


def _bound(roles: Sequence[Role]) -> set[str]:
    """The roles that policies for their group hold for at this moment."""
    groups = {role.name: role.group for role in roles if role.group}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.rolname FROM unnest(%s::text[], %s::text[]) AS w (name, grp)"
            " JOIN pg_roles r ON r.rolname = w.name JOIN pg_roles g ON g.rolname = w.grp"
            " WHERE pg_has_role(r.oid, g.oid, 'USAGE')",
            [list(groups), list(groups.values())],
        )
        return {name for (name,) in cursor.fetchall()}


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
