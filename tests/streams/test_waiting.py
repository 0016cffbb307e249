"""What an open stream costs while it waits, and the path below which the service is reached."""

from __future__ import annotations

from contextlib import ExitStack

import psutil
import pytest
from django.db import connection

from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.streams.conftest import Served, serve
from tests.streams.following import following, socket, told

pytestmark = pytest.mark.django_db(transaction=True)


WEB = "web_of_this_test"


def sessions() -> int:
    """Sessions of the web process: others look into this database too, such as autovacuum."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [WEB])
        return int(cursor.fetchone()[0])


def threads(served: Served) -> int:
    return psutil.Process(served.process.pid).num_threads()


def test_a_stream_that_waits_holds_no_thread_and_no_connection(token: str, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with serve(env={"AGENTAPP_DB_POOL_MAX": "2", "PGAPPNAME": WEB}) as served, ExitStack() as streams:
        for _ in range(10):
            streams.enter_context(following(served.port, f"/tasks/{task.pk}/stream", token=token)).take(2)
        of_few = threads(served)
        for _ in range(60):
            streams.enter_context(following(served.port, f"/tasks/{task.pk}/stream", token=token)).take(2)
            found = streams.enter_context(socket(served.port, f"/tasks/{task.pk}/ws", token=token))
            next(told(found))
        assert threads(served) <= of_few + 2
        assert 1 <= sessions() <= 2
        # And it still answers.
        assert served.web.ask("GET", f"/tasks/{task.pk}", Authorization=f"Bearer {token}")[0] == 200


def test_streams_are_reached_below_a_path(token: str, principal: Principal) -> None:
    task = harness.run_workflow(principal, "probe_fan")
    with serve(env={"AGENTAPP_ROOT_PATH": "/agents"}) as served:
        for prefix in ("/agents", ""):
            with following(served.port, f"{prefix}/tasks/{task.pk}/stream", token=token) as stream:
                assert [event.type for event in stream][-2:] == ["done", "end"]
            with socket(served.port, f"{prefix}/tasks/{task.pk}/ws", token=token) as found:
                assert [event.type for event in told(found)][-2:] == ["done", "end"]
        issued = served.web.ask("POST", "/stream-tokens", {"task": str(task.pk)}, Authorization=f"Bearer {token}")[2]
        assert issued["url"].startswith("/agents/tasks/")
        with following(served.port, issued["url"]) as stream:
            assert stream.status == 200
