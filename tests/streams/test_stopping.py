"""A web process that is told to end, or is killed, while streams are open."""

from __future__ import annotations

import signal
import socket as sockets
import subprocess
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from agentapp.local import ports
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.streams import long_histories
from tests.streams.conftest import Served, serve
from tests.streams.following import following, socket, told

pytestmark = pytest.mark.django_db(transaction=True)

# As the Procfile says; a process that ends by this alone has cut its streams.
GRACE_S = 5
# What ends only because its time is over ends later than this.
EXIT_S, FAR_S = 120, 600


@pytest.fixture
def served(transactional_db: None) -> Iterator[Served]:
    with serve("--timeout-graceful-shutdown", str(FAR_S)) as found:
        yield found


def test_streams_end_at_once_when_the_process_is_told_to_end(served: Served, token: str, principal: Principal) -> None:
    """It waits ten minutes for open connections here: one that does not end shows as a process that does not."""
    task = workflows.submit(principal, kind="probe_fan", input={})
    path = f"/tasks/{task.pk}"
    with (
        following(served.port, f"{path}/stream", token=token) as stream,
        socket(served.port, f"{path}/ws", token=token) as found,
    ):
        events, messages = iter(stream), told(found)
        assert [next(events).type, next(events).type] == [next(messages).type, next(messages).type]
        served.process.send_signal(signal.SIGTERM)

        # No `end`: there is more to come, from another process.
        assert "end" not in {event.type for event in events}
        with pytest.raises(ConnectionClosed) as closed:
            found.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        served.process.wait(timeout=EXIT_S)


def test_a_client_that_does_not_read_keeps_no_process_alive(token: str, principal: Principal) -> None:
    # More than all buffers between the two hold.
    task = long_histories.make(principal, events=3_000, reason="x" * 5_000)
    with serve("--timeout-graceful-shutdown", str(GRACE_S)) as served:
        deaf = sockets.create_connection((ports.HOST, served.port))
        deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1024)
        deaf.sendall(
            f"GET /tasks/{task.pk}/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        deaf.recv(10)
        served.process.send_signal(signal.SIGTERM)
        try:
            served.process.wait(timeout=EXIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail("it still waits for a client that does not read")
        finally:
            deaf.close()


def test_a_client_resumes_with_the_next_process(token: str, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with serve() as served, following(served.port, f"/tasks/{task.pk}/stream", token=token) as stream:
        before = stream.take(1)
        served.process.kill()
    harness.drain(task)
    with serve() as served:
        place = {"Last_Event_ID": str(before[-1].id)}
        with following(served.port, f"/tasks/{task.pk}/stream", token=token, **place) as stream:
            after = list(stream)
    task.refresh_from_db()
    assert [event.seq for event in [*before, *after[:-1]]] == list(range(1, task.seq + 1))
