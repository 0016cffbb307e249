"""How many deadlocks Postgres has broken up in the database of this test."""

from __future__ import annotations

from django.db import connection


def count() -> int:
    """A session adds its own to the count at the latest when it is closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
