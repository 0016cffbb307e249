"""Who else is connected to the database of this process's tests: as long as anybody is, it cannot be dropped."""

from __future__ import annotations

import gc
import time

from django.db import connection
from django.db.backends.base.creation import TEST_DATABASE_PREFIX

_OTHERS = """
SELECT format('%%s (%%s since %%s): %%s', application_name, state, backend_start, left(query, 200))
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# Postgres itself waits five seconds: on a busy machine the session of a process that was killed takes longer to end.
_PATIENCE_S = 120


def wait_for_their_end() -> None:
    """Return when no other session is left; at once where no test of this run uses a database of this process, which
    then looks at one that it shares with others.

    Raises:
        AssertionError: a test has left one behind; it says what that did last.
    """
    if not str(connection.settings_dict["NAME"]).startswith(TEST_DATABASE_PREFIX):
        return
    # The connections of threads that have ended point at themselves: they last until somebody collects them.
    gc.collect()
    deadline = time.monotonic() + _PATIENCE_S
    while others := _others():
        assert time.monotonic() < deadline, "These sessions keep the database from being dropped:\n" + "\n".join(others)
        time.sleep(0.1)


def _others() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, [])
        return [row for (row,) in cursor.fetchall()]
