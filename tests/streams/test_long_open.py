"""A stream that stays open: pings while nothing happens, and an end before proxies cut it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentapp.lifecycle import events_live
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.streams import access, cursors, handover, hub, lines
from agentapp.streams.following import FollowList, FollowTask
from agentapp.streams.hub import Follow, Hub
from tests.streams.sessions import close_all

pytestmark = pytest.mark.django_db(transaction=True)

START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"0"), (b"X-Kept", b"1")]}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(handover, "PING_S", 0.02)
    yield
    hub._hub = None


def said(message: Any) -> str:
    """What a message tells its client."""
    return str(message.get("text") or message.get("body", b"").decode())


def pings_after_events(messages: list[Any]) -> bool:
    return "ping" in said(messages[-1]) and any("pending" in said(message) for message in messages)


def sent(
    follow: Follow, *, until: Callable[[list[Any]], bool] = pings_after_events, is_socket: bool = False
) -> list[Any]:
    """Be the server of one connection whose client stays until it is too old, which is when `until` says so of what was
    sent; return all that was sent over it."""
    messages: list[Any] = []
    later_s = 0.0

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        nonlocal later_s
        messages.append(message)
        if until(messages):
            later_s = handover.LONGEST_S

    async def run() -> None:
        loop: Any = asyncio.get_running_loop()
        time_s = loop.time
        loop.time = lambda: time_s() + later_s
        hub._hub = Hub()
        line = lines.WebSocket(receive, send) if is_socket else lines.ServerSentEvents(receive, send, start=START)
        await handover.run(follow, line)
        await close_all(hub._hub)
        await hub._hub.shut()

    asyncio.run(run())
    return messages


def test_a_stream_pings_and_ends_before_it_is_too_old(principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    start, *parts = sent(FollowTask(access.of(principal), task.pk, 0))

    assert next(name for name, _ in start["headers"]) == b"X-Kept"
    assert b"Content-Length" not in dict(start["headers"])
    text = b"".join(part["body"] for part in parts).decode()
    assert text.startswith("retry: ") and ": ping\n\n" in text
    assert text.endswith('event: end\ndata: {"reason":"time"}\n\n')
    assert parts[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_a_socket_pings_and_ends_too(principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    accepted, *messages, end, closed = sent(FollowTask(access.of(principal), task.pk, 0), is_socket=True)

    assert (accepted["type"], closed) == ("websocket.accept", {"type": "websocket.close", "code": 1000})
    assert messages[-1]["text"] == '{"event":"ping","data":{}}'
    assert end["text"] == '{"event":"end","data":{"reason":"time"}}'


def test_a_ping_of_the_list_moves_the_place_of_a_client_whose_tenant_is_quiet(
    principal: Principal, other_principal: Principal
) -> None:
    begin = events_live.now()
    task = workflows.submit(other_principal, kind="probe_fan", input={})

    def places(messages: list[Any]) -> list[Any]:
        lines = "".join(map(said, messages)).split("\n")
        return [cursors.read(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]

    follow = FollowList(access.of(principal), begin)
    _, *parts = sent(follow, until=lambda messages: any(place != begin for place in places(messages)))

    text, pinged = "".join(map(said, parts)), places(parts)
    assert str(task.pk) not in text
    assert pinged and pinged[-1] is not None
    (page,) = events_live.pages([pinged[-1]], tenants=None, limit=10)
    assert not page.rows
