"""Row-level security: what a role that is bound to the tenant context sees and writes of each table.

One policy lets every role through, and a restrictive one, which is for a group of roles alone, asks for the context.
So roles that are not in the group, also those made by hand, see what they saw before, and a role is bound and released
by its membership: no table is locked for that. The owner of the tables is never bound, and neither are moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from psycopg.sql import SQL, Composable, Identifier, Literal

from agentapp.lifecycle.roles import row_decisions
from agentapp.lifecycle.tenant_context import ALL, PARAMETER

EVERYBODY = "agentapp_everybody"
# Each is read once per statement, not once per row. The second cast makes it an array, and no list of rows.
_CONTEXT = f"(SELECT current_setting('{PARAMETER}', true))"
_TENANTS = f"(SELECT string_to_array(nullif(current_setting('{PARAMETER}', true), '{ALL}'), ',')::bigint[])::bigint[]"

_ONCE = """\
DO $do$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = {table}::regclass AND polname = {name}) THEN
    {statement};
  END IF;
END $do$"""
# What a release before this one made for the group.
_DROPPED = """\
DO $do$ DECLARE old text; BEGIN
  FOR old IN SELECT polname FROM pg_policy
    WHERE polrelid = {table}::regclass AND polname <> ALL ({names})
      AND polroles = ARRAY(SELECT oid FROM pg_roles WHERE rolname = {group})
  LOOP EXECUTE format('DROP POLICY %I ON %I', old, {table}); END LOOP;
  IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = {table}::regclass) THEN
    ALTER TABLE {table_name} ENABLE ROW LEVEL SECURITY;
  END IF;
END $do$"""
_GROUP = """\
DO $do$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = {name}) THEN CREATE ROLE {group}; END IF; END $do$;
ALTER ROLE {group} NOLOGIN NOCREATEDB NOCREATEROLE"""


def tables() -> list[str]:
    """The tables that have policies. A table stands behind the one that its policy looks into."""
    return [*sorted(row_decisions.BY_COLUMN), *sorted(row_decisions.BY_PARENT)]


def condition(table: str) -> str:
    """What a row must fulfil. CASE, so that the planner does not take it for one more rare condition: it expects every
    second row to fulfil it, and plans as without it."""
    if table in row_decisions.BY_PARENT:
        column, parent = row_decisions.BY_PARENT[table]
        # Not EXISTS, which Postgres may answer by reading the whole parent table once.
        own = f"(SELECT true FROM {parent} p WHERE p.id = {column})"  # noqa: S608 - names of ours
    else:
        own = f"{row_decisions.BY_COLUMN[table]} = ANY ({_TENANTS})"
    return f"CASE WHEN {_CONTEXT} = '{ALL}' THEN true ELSE coalesce({own}, false) END"


def group_statements(group: str) -> Iterator[Composable]:
    yield SQL(_GROUP).format(name=Literal(group), group=Identifier(group))


def table_statements(table: str, group: str) -> Iterator[Composable]:
    """Make the policies of a table as they are to be. Where they are already, nothing is locked."""
    named = {EVERYBODY: SQL("CREATE POLICY {} ON {} USING (true)").format(Identifier(EVERYBODY), Identifier(table))}
    restrictive = dict(_restrictive(table, group))
    for name, statement in {**named, **restrictive}.items():
        yield SQL(_ONCE).format(table=Literal(table), name=Literal(name), statement=statement)
    yield SQL(_DROPPED).format(
        table=Literal(table), table_name=Identifier(table), group=Literal(group), names=_array(list(restrictive))
    )


def bound(role: str, group: str) -> Composable:
    """Bind a role: it is a member that has what the group has."""
    return SQL("ALTER ROLE {} INHERIT; GRANT {} TO {}").format(Identifier(role), Identifier(group), Identifier(role))


def released(role: str, group: str) -> Composable:
    return SQL("REVOKE {} FROM {}").format(Identifier(group), Identifier(role))


def _restrictive(table: str, group: str) -> Iterator[tuple[str, Composable]]:
    own = condition(table)
    if table not in row_decisions.SHARED:
        yield _policy(table, group, "ALL", f"USING ({own})")
        return
    yield _policy(table, group, "SELECT", f"USING ({row_decisions.BY_COLUMN[table]} IS NULL OR {own})")
    yield _policy(table, group, "INSERT", f"WITH CHECK ({own})")
    yield _policy(table, group, "UPDATE", f"USING ({own})")
    yield _policy(table, group, "DELETE", f"USING ({own})")


def _policy(table: str, group: str, command: str, rule: str) -> tuple[str, Composable]:
    """Its name says what it says, and for whom: a release that changes it makes another one."""
    name = f"agentapp_tenant_{sha256(f'{group} {command} {rule}'.encode()).hexdigest()[:12]}"
    return name, SQL("CREATE POLICY {} ON {} AS RESTRICTIVE FOR {} TO {} {}").format(
        Identifier(name),
        Identifier(table),
        SQL(command),
        Identifier(group),
        SQL(rule),
    )


def _array(names: Sequence[str]) -> Composable:
    return SQL("ARRAY[{}]").format(SQL(", ").join(map(Literal, names)))
