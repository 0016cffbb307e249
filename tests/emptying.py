"""How the tables become empty after a test that commits.

Django truncates every table, then makes all content types and permissions again: a tenth of a second of CPU for each of
hundreds of tests. Most of them leave a few rows, which DELETE removes in milliseconds.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test import TransactionTestCase

# Filled by `migrate` and by Django's flush alike; a test that changes them is cleaned up by Django.
KEPT = ("django_content_type", "auth_permission", "auth_group", "auth_group_permissions")
# The dead rows of larger tables would be read again after every test to come.
LARGE_BYTES = 4_000_000

_flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
_kept_as_migrated: dict[str, Any] = {}


def begin() -> None:
    """Look at the database as it is migrated, and empty it in the short way from now on."""
    # Where no test of this run uses a database of this process, it is that which others copy: nobody may be connected.
    if not str(connections["default"].settings_dict["NAME"]).startswith(TEST_DATABASE_PREFIX):
        return
    with connections["default"].cursor() as cursor:
        # Triggers and foreign keys are left out, which only a superuser may say.
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not cursor.fetchone()[0]:
            return
    _kept_as_migrated["default"] = _kept("default")
    TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]


def _empty(case: TransactionTestCase) -> None:
    if set(case._databases_names(include_mirrors=False)) != {"default"}:  # type: ignore[attr-defined]
        _flush(case)
        return
    connection = connections["default"]
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - set(KEPT))
    if _kept("default") != _kept_as_migrated["default"] or _is_one_large(tables):
        _flush(case)
        _kept_as_migrated["default"] = _kept("default")
        return
    deletes = "".join(f"DELETE FROM {connection.ops.quote_name(table)};" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(f"BEGIN; SET LOCAL session_replication_role = replica; {deletes} COMMIT")


def _kept(alias: str) -> Any:
    """A digest of the rows that stay."""
    digests = ", ".join(f"(SELECT md5(string_agg(t::text, ' ' ORDER BY t.id)) FROM {table} t)" for table in KEPT)
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT {digests}")
        return cursor.fetchone()


def _is_one_large(tables: list[str]) -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT max(pg_relation_size(t)) > %s FROM unnest(%s::regclass[]) t", [LARGE_BYTES, tables])
        return bool(cursor.fetchone()[0])
