"""Whether the database can be worked on by this release."""

from __future__ import annotations

from agentapp.lifecycle import database, function_set

_STATE = """
SELECT CASE WHEN current_setting('transaction_read_only') = 'on' THEN 'read_only'
            WHEN to_regnamespace(%s) IS NULL THEN 'not_migrated'
            ELSE 'ready' END
"""


def state() -> str:
    """Tell whether Postgres can be worked on: "ready"; "read_only", where it takes no writes, and sessions with it are
    dropped; "not_migrated", where it lacks the functions of this release. Raises like `database.statement`."""
    found: str = database.statement(_STATE, [function_set.SCHEMA])
    if found == "read_only":
        database.drop_sessions(is_read_only=True)
    return found
