"""A database that is away, or that only reads, is a 503 that says when to come back; afterwards all is well at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from django.db import connection, transaction
from django.test import Client

from agentapp.errors import Unavailable
from agentapp.lifecycle import database, function_set
from agentapp.lifecycle.postgresql.base import DatabaseWrapper
from agentapp.models import Workflow
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime import patience
from agentapp.testing.servers import REDIS_VARIABLE
from tests import outage
from tests.api.conftest import Api, problem_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]
BROWSER = {"Accept": "text/html"}


def unavailable(response: Any) -> None:
    assert "database" in problem_of(response, 503)["detail"]
    assert int(response.headers["Retry-After"]) >= 1


def test_a_database_that_refuses_is_a_503_and_a_task_is_taken_when_it_is_back(api: Api) -> None:
    with outage.refusing():
        unavailable(api.submit())
        unavailable(api.get("/tasks"))
        assert api.get("/readyz").status_code == 503
    assert api.submit().status_code == 202
    assert api.get("/readyz").status_code == 200


def test_after_a_failover_the_session_with_the_old_primary_is_dropped(api: Api) -> None:
    """Only this session reads only: the address leads to the new primary by now."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    unavailable(api.submit())
    assert api.submit().status_code == 202


def test_a_server_that_only_reads_is_not_ready(api: Api) -> None:
    with outage.only_reading():
        unavailable(api.submit())
        unavailable(api.submit())
        assert "takes no writes" in problem_of(api.get("/readyz"), 503)["detail"]
    assert api.submit().status_code == 202
    assert api.get("/readyz").status_code == 200
    assert Workflow.objects.count() == 1


def test_the_first_request_after_a_quiet_spell_succeeds(api: Api) -> None:
    """The server, or a load balancer, has closed what was idle for long."""
    assert api.get("/tasks").status_code == 200
    assert outage.close_sessions()
    assert api.submit().status_code == 202


def test_a_session_in_the_middle_of_a_statement_is_not_used_again() -> None:
    outage.cut_short()
    assert database.statement("SELECT 1", []) == 1
    outage.close_sessions()


def test_nothing_waits_in_a_transaction_whose_session_is_of_no_use() -> None:
    """It would be asked again and again, and could answer no more."""
    with pytest.raises(Unavailable), transaction.atomic():
        outage.cut_short()
        patience.patiently(lambda: database.statement("SELECT 1", []))
    assert database.statement("SELECT 1", []) == 1
    outage.close_sessions()


@pytest.mark.parametrize("path", ["/admin/", "/admin/agentapp/workflow/"])
def test_a_page_says_that_the_database_is_away(admin_client: Client, path: str) -> None:
    admin_client.raise_request_exception = False
    with outage.refusing():
        response = admin_client.get(path, headers=BROWSER)
    assert response.status_code == 503
    assert "does not answer" in response.content.decode()
    assert int(response.headers["Retry-After"]) >= 1


@pytest.fixture
def pooled() -> Iterator[Callable[..., DatabaseWrapper]]:
    """A maker of connections of a pool like that of the web, beside this thread's own, which is of none."""
    made: list[DatabaseWrapper] = []

    def make(**pool: Any) -> DatabaseWrapper:
        options = {**connection.settings_dict["OPTIONS"], "pool": {"min_size": 0, "max_size": 1, "timeout": 5, **pool}}
        wrapper = DatabaseWrapper({**connection.settings_dict, "OPTIONS": options, "CONN_MAX_AGE": 0}, alias="default")
        made.append(wrapper)
        return wrapper

    yield make
    for wrapper in made:
        wrapper.close()
    made[0].close_pool()


def ask(wrapper: DatabaseWrapper) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
    return pid


def test_a_pool_gives_out_no_session_that_the_server_has_closed(pooled: Callable[..., DatabaseWrapper]) -> None:
    wrapper = pooled()
    before = ask(wrapper)
    wrapper.close()
    outage.close_sessions()
    assert ask(wrapper) != before


def test_a_pool_asks_nothing_of_a_session_that_was_just_used(pooled: Callable[..., DatabaseWrapper]) -> None:
    wrapper = pooled()
    before = ask(wrapper)
    wrapper.close()
    assert ask(wrapper) == before


def test_a_pool_that_has_no_connection_left_is_an_outage(pooled: Callable[..., DatabaseWrapper]) -> None:
    first, second = pooled(timeout=60), pooled()
    ask(first)
    # It has had time to make its connection, and has none for another one.
    first.pool.timeout = 0.1
    with faults.caught(Fault.OUTAGE) as caught:
        ask(second)
    assert "couldn't get a connection" in str(caught.error)


@pytest.mark.skipif(REDIS_VARIABLE in os.environ, reason="changes the role of the broker, which is not the test's own")
def test_a_broker_that_only_reads_is_down(api: Api, broker: redis.Redis) -> None:
    assert api.get("/readyz").json()["broker"] == "up"
    with closing(broker):
        # Of a host that answers nothing: a replica of it stays one, and answers a ping.
        broker.replicaof("127.0.0.1", 1)
        try:
            assert api.get("/readyz").json()["broker"] == "down"
        finally:
            broker.replicaof("NO", "ONE")
    assert api.get("/readyz").json()["broker"] == "up"


def test_a_database_that_is_not_migrated_yet_takes_no_tasks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform then keeps the processes of the release before."""
    monkeypatch.setattr(function_set, "SCHEMA", "moves_of_tomorrow")

    assert "manage.py migrate" in problem_of(api.get("/readyz"), 503)["detail"]


def test_what_a_missing_migration_breaks_says_what_to_run(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workflow._meta, "db_table", "agentapp_tomorrow")
    assert api.get("/tasks").status_code == 500, "a table is missing though everything is migrated"

    monkeypatch.setattr(function_set, "SCHEMA", "moves_of_tomorrow")
    assert "manage.py migrate" in problem_of(api.get("/tasks"), 503)["detail"]
