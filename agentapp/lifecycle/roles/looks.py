"""Whether roles were made for this release: what a process, or `check --database default`, says about it."""

from __future__ import annotations

import json
from typing import Any

from agentapp.lifecycle import database
from agentapp.lifecycle.function_set import SCHEMA

APPLY = "manage.py database_roles --apply"
BIND = f"{APPLY} --row-security on"

# Of a role: whether it is the owner of the tables or a member of it, may call the moves, and is bound.
_ABOUT = """
  'is_owner', coalesce(pg_has_role(r.oid, (SELECT relowner FROM pg_class
    WHERE oid = to_regclass('agentapp_workflow')), 'USAGE'), true),
  'may_move', coalesce(has_schema_privilege(r.oid, to_regnamespace(%s), 'USAGE'), true),
  'is_bound', EXISTS (SELECT 1 FROM pg_policy p, unnest(p.polroles) bound
    WHERE p.polrelid = to_regclass('agentapp_workflow') AND NOT p.polpermissive
      AND pg_has_role(r.oid, nullif(bound, 0), 'USAGE'))"""
_OWN = f"SELECT jsonb_build_object('name', rolname, {_ABOUT}) FROM pg_roles r WHERE rolname = session_user"  # noqa: S608
_KNOWN = "SELECT to_regclass('agentapp_databaserole') IS NOT NULL"
_ALL = f"""
SELECT coalesce(jsonb_agg(jsonb_build_object('name', rolname, {_ABOUT}) ORDER BY rolname), '[]')
  FROM pg_roles r JOIN agentapp_databaserole d ON d.name = r.rolname
 WHERE NOT r.rolname LIKE '%%_readonly'"""  # noqa: S608 - constants


def own_problems(process: str) -> list[str]:
    """What the role of this session lacks, as a process of this class. Raises Unavailable, DatabaseBusy."""
    own = _read(_OWN)
    if own["is_owner"]:
        return []
    found = _lacking([own["name"]]) if not own["may_move"] else ""
    unbound = _unbound([own["name"]]) if process == "web" and not own["is_bound"] else ""
    return [sentence for sentence in (found, unbound) if sentence]


def problems() -> list[tuple[str, str]]:
    """What the roles of this database lack, as their owner sees it: a word for each sentence, and the sentence.

    Raises as `own_problems`.
    """
    if not database.statement(_KNOWN, []) or not _read(_OWN)["is_owner"]:
        return []
    roles = _read(_ALL)
    lacking = [role["name"] for role in roles if not role["may_move"]]
    unbound = [role["name"] for role in roles if role["name"].endswith("_web") and not role["is_bound"]]
    found = {"moves": _lacking(lacking) if lacking else "", "rows": _unbound(unbound) if unbound else ""}
    return [(word, sentence) for word, sentence in found.items() if sentence]


def _lacking(names: list[str]) -> str:
    return (
        f"{', '.join(names)} may not call the state moves of this release: run `{APPLY}` as the owner of the tables, "
        "with the options that the roles were made with."
    )


def _unbound(names: list[str]) -> str:
    return (
        f"Row-level security does not bind {', '.join(names)}. When no web process of a release without it runs, run "
        f"`{BIND}` as the owner of the tables."
    )


def _read(statement: str) -> Any:
    found = database.statement(statement, [SCHEMA])
    return json.loads(found) if isinstance(found, str) else found
