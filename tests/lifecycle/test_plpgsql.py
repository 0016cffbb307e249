"""The functions of the state moves hold what plpgsql only looks at when a line runs. See tests/structure/plpgsql.py."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agentapp.lifecycle import function_set
from tests import debian_postgres
from tests.structure import plpgsql
from tests.structure.source import ROOT

VIOLATIONS = sorted((ROOT / "tests" / "structure" / "plpgsql_violations").glob("*.sql"))
# Every move takes the moment, so that who calls it need not know whether it reads it. These do not; one that does by
# now has to go from here.
TIMELESS = (
    "ask_clean_up", "checkpoint", "ensure_keys", "forget_choice", "heartbeat", "index_again", "index_changes",
    "index_older", "know_database", "payload", "postgres_uptime", "resign", "set_holds", "settle_spending",
)  # fmt: skip
KNOWN = {(function, 'unused parameter "p_now"') for function in TIMELESS}


@pytest.fixture(scope="module")
def postgres() -> Iterator[psycopg.Connection[Any]]:
    """Debian's Postgres with our migrations."""
    with debian_postgres.migrated(debian_postgres.needed()) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION plpgsql_check")
        connection.commit()
        yield connection


@pytest.fixture
def connection(postgres: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    with postgres.transaction(force_rollback=True):
        yield postgres


def test_the_functions_of_the_set_have_no_faults(connection: psycopg.Connection[Any]) -> None:
    found = plpgsql.faults(connection, function_set.SCHEMA)

    new = [str(fault) for fault in found if (fault.function, fault.message) not in KNOWN]
    assert not new, "\n" + "\n".join(new)
    fixed = KNOWN - {(fault.function, fault.message) for fault in found}
    assert not fixed, f"These read the moment: remove them from TIMELESS. {sorted(fixed)}"


def test_all_functions_are_there_to_be_checked(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE l.lanname IN ('plpgsql', 'sql')) FROM pg_proc f"
        " JOIN pg_language l ON l.oid = f.prolang WHERE f.pronamespace = %s::regnamespace",
        [function_set.SCHEMA],
    )

    defined = sum(path.read_text().count("CREATE OR REPLACE FUNCTION") for path in function_set.SOURCES.glob("*.sql"))
    assert rows.fetchone() == (defined, defined)


@pytest.mark.parametrize("path", VIOLATIONS, ids=lambda path: path.stem)
def test_a_fault_is_reported(path: Path, connection: psycopg.Connection[Any]) -> None:
    """The first lines say what is found, in any order."""
    text = path.read_text()
    expected = [line.removeprefix("-- ") for line in takewhile(lambda line: line.startswith("-- "), text.splitlines())]
    connection.execute("CREATE SCHEMA moves")
    connection.execute("SET LOCAL check_function_bodies = off")
    connection.execute(text.encode())

    found = [str(fault) for fault in plpgsql.faults(connection, "moves")]

    assert len(found) == len(expected), found
    for sentence in expected:
        match = next((fault for fault in found if sentence in fault), None)
        assert match is not None, (sentence, found)
        found.remove(match)
