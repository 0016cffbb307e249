"""The list of tasks may come from a replica; what is not there, or late, comes from the primary."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from agentapp.lifecycle import database, replica
from agentapp.models import DispatcherLease
from agentapp.services import metrics
from tests import replicas
from tests.api.conftest import QUESTION, Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


def written(*, ago_s: float) -> None:
    """The leader wrote its row so long ago, as far as this replica knows."""
    moment = database.now() - timedelta(seconds=ago_s)
    DispatcherLease.objects.update_or_create(id=1, defaults={"renewed_at": moment, "expires_at": moment})


def statements(api: Api, own: object, path: str) -> int:
    """How many statements of a request go to the replica."""
    with CaptureQueriesContext(own) as found:  # type: ignore[arg-type]
        assert api.get(path).status_code == 200
    return sum("agentapp_workflow" in query["sql"] for query in found.captured_queries)


def test_a_list_comes_from_a_replica_that_keeps_up(api: Api) -> None:
    task = api.post("/tasks", {"kind": "support_reply", "input": QUESTION}).json()["id"]
    with replicas.read_from(dict(connection.settings_dict)) as own:
        written(ago_s=0)
        assert statements(api, own, "/tasks") >= 1
        assert statements(api, own, f"/tasks/{task}") == 0, "what somebody has just done is shown to him"
        # As the thread does that serves /metrics.
        with CaptureQueriesContext(own) as found:
            assert metrics.collected()["agentapp_jobs"]
        assert sum("agentapp_job" in query["sql"] for query in found.captured_queries) >= 1


def test_a_replica_that_is_late_or_away_is_not_used(api: Api) -> None:
    api.post("/tasks", {"kind": "support_reply", "input": QUESTION})
    with replicas.read_from(dict(connection.settings_dict)) as own:
        written(ago_s=60)
        assert statements(api, own, "/tasks") == 0
    with replicas.read_from({**connection.settings_dict, "HOST": "/nowhere"}):
        assert len(api.get("/tasks").json()["results"]) == 1


def test_a_replica_whose_statements_take_too_long_is_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk hangs, say, while the row that tells how late it is comes from memory."""

    def slow() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout TO '20ms'")
            cursor.execute("SELECT pg_sleep(600)")

    settings.AGENTAPP_REPLICA_LAG_S = 600.0
    monkeypatch.setattr(replica, "LOOK_AGAIN_S", 600.0)
    with replicas.read_from(dict(connection.settings_dict)) as own:
        written(ago_s=0)
        assert replica.read(lambda: connection.alias) == own.alias
        with pytest.raises(OperationalError, match="statement timeout"):
            replica.read(slow)
        assert replica.read(lambda: connection.alias) == "default"


def test_a_replica_that_lacks_a_migration_is_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The primary was migrated a moment ago, and the replica has not taken that over yet."""

    def newer() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM agentapp_tomorrow" if connection.alias != "default" else "SELECT 1")
        return connection.alias

    monkeypatch.setattr(replica, "LOOK_AGAIN_S", 600.0)
    with replicas.read_from(dict(connection.settings_dict)) as own:
        written(ago_s=0)
        assert replica.read(lambda: connection.alias) == own.alias
        assert replica.read(newer) == "default"
        assert replica.read(lambda: connection.alias) == "default"
