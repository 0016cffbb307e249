"""What docs/scaling.md says of tables holds, and autovacuum follows what changes in those of every step. [H7]"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import connection

from agentapp.lifecycle import erase

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scaling.md"
HOT = (
    "agentapp_job", "agentapp_workflow", "agentapp_stage", "agentapp_effect", "agentapp_history", "agentapp_attempt",
    "agentapp_modelcall", "agentapp_approval", "agentapp_limit", "agentapp_worker", "agentapp_dispatcherlease",
)  # fmt: skip


def without_tenant() -> set[str]:
    """The tables that hold rows of tenants, and say so only through another row."""
    return {str(model._meta.model_name) for model, path in (erase.WITH_TASK | erase.ROWS).items() if "__" in path}


def test_the_page_lists_every_table_that_lacks_the_tenant() -> None:
    listed = re.search(r"would get the column:\n((?:.*`\w+`.*\n)+)", PAGE.read_text())

    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == without_tenant()


@pytest.mark.django_db
def test_autovacuum_does_not_wait_for_a_fifth_of_a_large_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reloptions FROM pg_class WHERE relname = ANY(%s)", [list(HOT)])
        options = {table: dict(option.split("=") for option in found or ()) for table, found in cursor.fetchall()}

    shares = {table: float(found.get("autovacuum_vacuum_scale_factor", 0.2)) for table, found in options.items()}
    assert set(shares) == set(HOT)
    assert max(shares.values()) <= 0.02, shares
