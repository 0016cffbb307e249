"""The state moves as one set of functions in Postgres, in a schema of its own.

Each release that changes a move has a set of its own, so that workers of two releases run side by side on one
database: the sources in `sql/` name the schema `moves`, and `SCHEMA` is what it is called in Postgres. A migration
installs a frozen copy of the sources, which `manage.py write_moves` writes; a test compares the two.
"""

from __future__ import annotations

import re
from pathlib import Path

SCHEMA = "moves_0010"
SOURCES = Path(__file__).resolve().parent / "sql"
FROZEN = Path(__file__).resolve().parent.parent / "migrations" / f"{SCHEMA}.sql"

# Functions call each other across files, in whatever order they are read.
_HEAD = f"""\
-- Written by `manage.py write_moves` from agentapp/lifecycle/sql/. Do not edit.
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
SET LOCAL check_function_bodies = off;
"""
# How moves are planned: by index from row to row, whatever the tables held when a session planned first, and once per
# session. Left to itself, Postgres reads a table whole that was small then, and plans a list of keys again each time.
# A move, which is called from Python, has `p_now` last, with a default.
PLANNER_RULES = """\
DO $$
DECLARE
  move regprocedure;
  rule text;
BEGIN
  FOR move, rule IN
    SELECT p.oid, r FROM pg_proc p, unnest(ARRAY[
      'enable_seqscan = off', 'enable_hashjoin = off', 'enable_mergejoin = off', 'jit = off',
      'plan_cache_mode = force_generic_plan']) r
     WHERE p.pronamespace = 'SCHEMA'::regnamespace AND p.provolatile = 'v'
       AND p.proargnames[p.pronargs] = 'p_now' AND p.pronargdefaults > 0
       AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET %s', move, rule);
  END LOOP;
END $$;
""".replace("SCHEMA", SCHEMA)
# Who may run a move need not be able to write the tables: what is called from Python has the rights of their owner, and
# finds tables where they were when it was made, whatever a session says. So nobody may call it but the roles that
# `manage.py database_roles` makes, and those that were made by hand and may write jobs anyway.
ACCESS_RULES = """\
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA SCHEMA FROM PUBLIC;
DO $$
DECLARE
  move regprocedure;
  trusted text;
  path text := (SELECT string_agg(quote_ident(name), ', ') FROM unnest(current_schemas(false)) name);
BEGIN
  FOR move IN
    SELECT p.oid FROM pg_proc p
     WHERE p.pronamespace = 'SCHEMA'::regnamespace
       AND (p.proargnames[p.pronargs] = 'p_now' AND p.pronargdefaults > 0 OR p.proname IN ('resolve_gates', 'origin'))
  LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, %s, pg_temp', move, path);
  END LOOP;
  FOR trusted IN
    SELECT quote_ident(rolname) FROM pg_roles
     WHERE rolname <> current_user AND NOT rolsuper AND rolname NOT LIKE 'pg\\_%'
       AND has_table_privilege(rolname, 'agentapp_job', 'UPDATE')
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA SCHEMA TO %s', trusted);
    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA SCHEMA TO %s', trusted);
  END LOOP;
END $$;
""".replace("SCHEMA SCHEMA", f"SCHEMA {SCHEMA}").replace("'SCHEMA'", f"'{SCHEMA}'")


def in_schema(text: str) -> str:
    """Return SQL with the schema of this set in place of `moves`."""
    return re.sub(r"\bmoves\.", f"{SCHEMA}.", text)


def text() -> str:
    """Return the whole set as one script, as it is installed."""
    sources = (in_schema(path.read_text()) for path in sorted(SOURCES.glob("*.sql")))
    return "\n".join([_HEAD, *sources, PLANNER_RULES, ACCESS_RULES])
