"""The statements that make the roles and give each what it may do, as `decisions` says.

They may be run again: what a role had is taken and given anew in one transaction, so that no process that works
meanwhile misses it. A set of moves of another release is left alone: its processes may still run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Identifier, Literal

from agentapp.lifecycle.function_set import SCHEMA
from agentapp.lifecycle.roles import decisions, policies, row_decisions
from agentapp.policies import time_limits

WORDS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}
# Two at once would change the same rows of the catalogue.
LOCK = (24946, 29295)  # "ar", "ro"

# A database from before Postgres 15 lets everybody create in its schema. A function beside the tables would be found by
# moves, which run as the owner, where its arguments fit better than those of Postgres's own.
_CLOSED = """\
DO $do$ BEGIN IF has_schema_privilege('public', 'public', 'CREATE') THEN
  EXECUTE format('GRANT CREATE ON SCHEMA public TO %I', current_user);
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
END IF; END $do$"""


_SET_ONCE = """\
DO $do$ BEGIN IF NOT EXISTS (
  SELECT 1 FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN unnest(s.setconfig) c
   WHERE r.rolname = {role} AND c LIKE {known}
     AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))) THEN
  EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %I TO %L', {role}, current_database(), {parameter}, {value});
END IF; END $do$"""


@dataclass(frozen=True)
class Role:
    """A role that processes of one class connect as. `queues` are the worker classes that a worker serves."""

    name: str
    process: str
    queues: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The group whose members the tenant context binds; empty where this role is never bound."""
        prefix = self.name.removesuffix(self.process)
        return f"{prefix}by_tenant" if self.process in row_decisions.BOUND else ""

    @property
    def parts(self) -> tuple[str, ...]:
        """What decides about it, from the general to the special."""
        return ("worker", *self.queues) if self.queues else (self.process,)

    def tables(self) -> dict[str, str]:
        """The letters of each table."""
        found: dict[str, str] = {}
        for part in self.parts:
            for table, letters in _tables_of(part).items():
                found[table] = "".join(letter for letter in WORDS if letter in found.get(table, "") + letters)
        return found

    def columns(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """What it may do with columns of tables: (word, table, columns)."""
        for word, of_parts in (("SELECT", decisions.READS), ("UPDATE", decisions.WRITES)):
            for part in self.parts:
                for table, names in of_parts.get(part, {}).items():
                    yield word, table, names

    def moves(self) -> frozenset[str]:
        return frozenset().union(*(decisions.MOVES.get(part, frozenset()) for part in self.parts))


def _tables_of(part: str) -> Mapping[str, str]:
    whole = {
        "web": decisions.WEB, "dispatcher": decisions.DISPATCHER, "worker": decisions.WORKER,
        "readonly": decisions.READ_ONLY,
    }  # fmt: skip
    return whole.get(part) or decisions.WORKERS.get(part, decisions.OF_PACKAGES)


def roles(prefix: str, workers: Mapping[str, Sequence[str]]) -> list[Role]:
    """The roles of an installation. `workers`: the worker classes by the name of the process that serves them."""
    return [
        *(Role(f"{prefix}_{process}", process) for process in ("web", "dispatcher", "readonly")),
        *(Role(f"{prefix}_worker_{name}", f"worker_{name}", tuple(queues)) for name, queues in workers.items()),
    ]


def statements(
    found: Sequence[Role], passwords: Mapping[str, str] | None = None, *, bound: Collection[str] = ()
) -> Iterator[Composable]:
    """Yield what makes these roles as they are to be. `passwords` are verifiers, never the passwords themselves.
    `bound` are the roles that the tenant context binds already: they stay bound, and all others are not."""
    yield SQL("SELECT pg_advisory_xact_lock({}, {})").format(*map(Literal, LOCK))
    yield SQL(_CLOSED)
    for group in groups(found):
        yield from policies.group_statements(group)
    for role in found:
        yield _made(role, inherits=role.name in bound)
        if role.group and role.name not in bound:
            yield policies.released(role.name, role.group)
        if verifier := (passwords or {}).get(role.name):
            yield SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role.name), Literal(verifier))
        yield from _limited(role)
    for role in found:
        yield from _taken(role)
        yield from _given(role)


def groups(found: Sequence[Role]) -> list[str]:
    return sorted({role.group for role in found} - {""})


def _made(role: Role, *, inherits: bool) -> Composable:
    """There is no CREATE ROLE IF NOT EXISTS. What it must not be is said again, in case somebody has changed it."""
    name = Identifier(role.name)
    create = SQL("CREATE ROLE {}").format(name)
    return SQL(
        "DO $do$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = {}) THEN {}; END IF; END $do$;"
        " ALTER ROLE {} LOGIN NOCREATEDB NOCREATEROLE {}"
    ).format(Literal(role.name), create, name, SQL("INHERIT" if inherits else "NOINHERIT"))


def _limited(role: Role) -> Iterator[Composable]:
    """What sessions of the role begin with in this database, also behind a pooler. What somebody has set is kept."""
    limits = time_limits.of(role.process).parameters()
    for parameter, value in (("default_transaction_isolation", "read committed"), *limits):
        yield SQL(_SET_ONCE).format(
            role=Literal(role.name), parameter=Literal(parameter), known=Literal(f"{parameter}=%"), value=Literal(value)
        )


def _taken(role: Role) -> Iterator[Composable]:
    name, schema = Identifier(role.name), Identifier(SCHEMA)
    for what in (
        SQL("ALL TABLES IN SCHEMA public"), SQL("ALL SEQUENCES IN SCHEMA public"),
        SQL("ALL FUNCTIONS IN SCHEMA {}").format(schema),
    ):  # fmt: skip
        yield SQL("REVOKE ALL ON {} FROM {}").format(what, name)


def _given(role: Role) -> Iterator[Composable]:
    name, schema = Identifier(role.name), Identifier(SCHEMA)
    yield SQL("GRANT USAGE ON SCHEMA public TO {}").format(name)
    for table, letters in sorted(role.tables().items()):
        words = SQL(", ").join(SQL(WORDS[letter]) for letter in letters)
        yield SQL("GRANT {} ON {} TO {}").format(words, Identifier(table), name)
    for word, table, names in role.columns():
        columns = SQL(", ").join(map(Identifier, names))
        yield SQL("GRANT {} ({}) ON {} TO {}").format(SQL(word), columns, Identifier(table), name)
    if moves := role.moves():
        yield SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, name)
        for move in sorted(moves):
            yield SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(Identifier(SCHEMA, move), name)
    yield SQL(
        "INSERT INTO agentapp_databaserole (name, queues) VALUES ({}, {}::text[])"
        " ON CONFLICT (name) DO UPDATE SET queues = EXCLUDED.queues"
    ).format(Literal(role.name), Literal(_queues(role)))


def _queues(role: Role) -> str | None:
    """As a literal of Postgres. The dispatcher ends lost attempts of every class."""
    return None if role.process == "dispatcher" else "{" + ",".join(role.queues) + "}"
