"""No state move reads a table whole, not even with a plan that was made while the tables were empty."""

from __future__ import annotations

import pytest
from django.db import connection

from agentapp.lifecycle import cancel
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import run_workflow

pytestmark = pytest.mark.django_db

TABLES = ("workflow", "stage", "job", "attempt", "history", "effect")
KINDS = ("probe_fan", "probe_settled", "probe_loop", "probe_same_effect", "probe_rented")
# Postgres keeps a plan for all values after five calls.
CALLS = 12


def rows_read_whole() -> dict[str, int]:
    """The rows that sequential scans of this transaction have read, by table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = ANY(%s) AND seq_tup_read > 0",
            [[f"agentapp_{name}" for name in TABLES]],
        )
        return dict(cursor.fetchall())


def test_a_table_that_is_read_whole_is_seen(principal: Principal) -> None:
    run_workflow(principal, "probe_loop")
    before = rows_read_whole()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM agentapp_stage WHERE name <> ''")

    assert [name for name, rows in rows_read_whole().items() if rows != before.get(name)] == ["agentapp_stage"]


@pytest.mark.parametrize("kind", KINDS)
def test_moves_find_their_rows_by_an_index(principal: Principal, kind: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")
    before = rows_read_whole()
    for number in range(CALLS):
        run_workflow(principal, kind, {"text": f"effect {number}"})

    assert rows_read_whole() == before


def test_a_cancellation_finds_its_rows_by_an_index(principal: Principal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")
    before = rows_read_whole()
    for _ in range(CALLS):
        workflow = workflows.submit(principal, kind="probe_fan", input={})
        cancel.cancel(workflow.pk, actor="api", reason="not needed")

    assert rows_read_whole() == before
