"""Each class of processes has limits for its statements and its waits; what is over them is no outage and no bug."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from psycopg import sql
from pytest_django import Settings

from agentapp.errors import DatabaseBusy
from agentapp.lifecycle import database
from agentapp.lifecycle.postgresql import limits
from agentapp.policies import faults

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def is_a_command() -> Iterator[None]:
    """As before and after each test: this process may have been another one in a test before."""
    limits.be(limits.COMMAND)
    connection.close()
    yield
    limits.be(limits.COMMAND)
    connection.close()


def found() -> tuple[str, str]:
    """What a new connection of this process begins with."""
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
        return tuple(cursor.fetchone())


def test_a_connection_begins_with_the_limits_of_its_process() -> None:
    assert found() == ("0", "0"), "a migration may take hours"
    by_class = {}
    for process in ("web", "worker", "dispatcher"):
        limits.be(process)
        by_class[process] = found()

    assert by_class == {"web": ("15s", "10s"), "worker": ("1min", "30s"), "dispatcher": ("90s", "10s")}


def test_a_command_is_not_held_to_the_limits_of_its_role() -> None:
    """All processes may share one role, which has limits for a pooler: an index is built for longer."""
    where = sql.SQL("ALTER ROLE {} IN DATABASE {}").format(
        sql.Identifier(connection.settings_dict["USER"]), sql.Identifier(connection.settings_dict["NAME"])
    )
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        try:
            other.execute(where + sql.SQL(" SET statement_timeout TO '60s'"))
            assert found() == ("0", "0")
        finally:
            other.execute(where + sql.SQL(" RESET statement_timeout"))


def test_a_setting_takes_the_place_of_a_limit(settings: Settings) -> None:
    limits.be("web")
    settings.AGENTAPP_STATEMENT_TIMEOUT_S, settings.AGENTAPP_LOCK_TIMEOUT_S = 0.0, 2.5

    assert found() == ("0", "2500ms")


@pytest.mark.parametrize("name", ["AGENTAPP_STATEMENT_TIMEOUT_S", "AGENTAPP_LOCK_TIMEOUT_S"])
def test_what_is_over_a_limit_may_be_tried_again(name: str, settings: Settings) -> None:
    setattr(settings, name, 0.05)
    limits.be("worker")
    connection.close()
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("LOCK TABLE agentapp_job")
        with pytest.raises(DatabaseBusy) as caught:
            database.statement("SELECT count(*) FROM agentapp_job", [])

    assert faults.of(caught.value) is faults.Fault.LIMIT
