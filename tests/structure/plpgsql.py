"""What plpgsql finds in a body only when the line runs, found without running it.

The extension plpgsql_check reads functions in plpgsql and triggers, Postgres's own validator those in SQL. They do not
see statements that are put together as text (EXECUTE), nor which keys a JSON object has.

Left out: hidden casts and volatility, which are hints about speed, and what _HARMLESS lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import psycopg

_FUNCTIONS = """
SELECT f.oid, f.proname, l.lanname, format_type(f.prorettype, NULL), pg_get_functiondef(f.oid)
  FROM pg_proc f JOIN pg_language l ON l.oid = f.prolang
 WHERE f.pronamespace = %s::regnamespace ORDER BY f.proname, f.oid
"""
# A row that goes in and out may have one column written, and is read by the caller.
_CHECK = """
SELECT lineno, message, detail, coalesce(query, statement)
  FROM plpgsql_check_function_tb(%(oid)s, %(table)s, fatal_errors => false, security_warnings => true)
 WHERE message NOT IN (SELECT format('parameter "%%s" is never read', a.name)
                         FROM pg_proc f, unnest(f.proargnames, f.proargmodes) a(name, mode)
                        WHERE f.oid = %(oid)s AND a.mode = 'b')
"""
# A row beside other results is one more column of a result, and right.
_HARMLESS = re.compile(r'composite OUT variable "\w+" is not single argument')
_DECLARATIONS = re.compile(r"\bDECLARE\b.*?\bBEGIN\b", re.DOTALL)
_TEXT = r"'(?:[^']|'')*'(?=\s*;)"
_DEFAULT = re.compile(rf"(\b\w+\s+(?:CONSTANT\s+)?)([\w.]+(?:\([\d, ]+\))?(?:\[\])*)(\s*:=\s*)({_TEXT})")
_RETURN = re.compile(rf"(\bRETURN\s+{_TEXT})")


@dataclass(frozen=True)
class Fault:
    """One finding; `line` counts from the opening $$ of the body, and is 0 where the whole function is meant."""

    function: str
    line: int
    message: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.function}, line {self.line}: {self.message}" + (f" ({self.detail})" if self.detail else "")


def faults(connection: psycopg.Connection[Any], schema: str) -> list[Fault]:
    """Return what is wrong with the functions of a schema. Nothing stays changed."""
    found: list[Fault] = []
    for oid, name, language, returned, definition in connection.execute(_FUNCTIONS, [schema]).fetchall():
        try:
            with connection.transaction(force_rollback=True):
                # For what is made here; the validator does nothing without it.
                connection.execute(f"SET LOCAL check_function_bodies = {'on' if language == 'sql' else 'off'}")
                if language == "sql":
                    connection.execute("SELECT fmgr_sql_validator(%s)", [oid])
                elif returned == "trigger":
                    found += _trigger_faults(connection, oid, name)
                else:
                    connection.execute(_with_types(definition, returned).encode())
                    found += _plpgsql_faults(connection, oid, name, table=0)
        except psycopg.Error as error:
            found.append(Fault(name, 0, error.diag.message_primary or str(error)))
    return found


def _plpgsql_faults(connection: psycopg.Connection[Any], oid: int, name: str, *, table: int) -> list[Fault]:
    rows = connection.execute(_CHECK, {"oid": oid, "table": table}).fetchall()
    return [
        Fault(name, line or 0, message, "; ".join(text for text in (detail, statement) if text))
        for line, message, detail, statement in rows
        if not _HARMLESS.fullmatch(message)
    ]


def _trigger_faults(connection: psycopg.Connection[Any], oid: int, name: str) -> list[Fault]:
    """A trigger is checked for each table that has it: NEW and OLD are rows of that table."""
    rows = connection.execute("SELECT DISTINCT tgrelid FROM pg_trigger WHERE tgfoid = %s", [oid]).fetchall()
    if not rows:
        return [Fault(name, 0, "no table has this trigger")]
    return [fault for (table,) in rows for fault in _plpgsql_faults(connection, oid, name, table=table)]


def _with_types(definition: str, returned: str) -> str:
    """Say the type of literals in declarations and behind RETURN, and so see whether they are values of it.

    Unlike in an assignment, Postgres first takes them for text there: `x jsonb := '{}'` would count as a wrong type.
    """
    definition = _DECLARATIONS.sub(lambda found: _DEFAULT.sub(r"\1\2\3\4::\2", found[0]), definition)
    return _RETURN.sub(rf"\1::{returned}", definition)
