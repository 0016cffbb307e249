"""The same events over a WebSocket."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.api.live import Web
from tests.streams.following import following, socket, told

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_socket_tells_the_same_as_the_stream(web: Web, token: str, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with socket(web.port, f"/tasks/{task.pk}/ws", token=token) as found:
        harness.drain(task)
        over_socket = list(told(found))
        assert found.protocol.close_code == 1000
    with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
        assert over_socket == list(stream)


def test_a_socket_resumes_where_it_is_asked_to(web: Web, token: str, principal: Principal) -> None:
    task = harness.run_workflow(principal, "probe_fan")
    with socket(web.port, f"/tasks/{task.pk}/ws?last_event_id={task.seq - 2}", token=token) as found:
        assert [event.id for event in told(found)] == [str(task.seq - 1), str(task.seq), None]


def test_what_a_client_sends_changes_nothing(web: Web, token: str, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with socket(web.port, f"/tasks/{task.pk}/ws", token=token) as found:
        for _ in range(50):
            found.send("x" * 10_000)
        harness.drain(task)
        assert [event.type for event in told(found)][-2:] == ["done", "end"]


@pytest.mark.parametrize(("path", "status"), [("/tasks/{task}/ws?token=x", 401), ("/tasks/{task}/stream", 400)])
def test_a_socket_that_is_refused_gets_the_same_problem(
    web: Web, token: str, principal: Principal, path: str, status: int
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with pytest.raises(InvalidStatus) as refused, socket(web.port, path.format(task=task.pk), token=token):
        pass
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["Content-Type"] == "application/problem+json"


def test_no_other_address_becomes_a_socket(web: Web, token: str, principal: Principal) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)), socket(web.port, "/tasks", token=token):
        pass
