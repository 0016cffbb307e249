"""A stream that stays open: pings while nothing happens, and an end before proxies cut it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from agentapp.lifecycle import events_live
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.streams import access, cursors, handover, hub, lines
from agentapp.streams.following import FollowList, FollowTask
from agentapp.streams.hub import Follow, Hub

pytestmark = pytest.mark.django_db(transaction=True)

START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"0"), (b"X-Kept", b"1")]}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(handover, "PING_S", 0.02)
    monkeypatch.setattr(handover, "LONGEST_S", 0.5)
    yield
    hub._hub = None


def sent(follow: Follow, *, is_socket: bool = False) -> list[Any]:
    """Be the server of one connection whose client stays; return all that was sent over it."""
    messages: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        messages.append(message)

    async def run() -> None:
        hub._hub = Hub()
        line = lines.WebSocket(receive, send) if is_socket else lines.ServerSentEvents(receive, send, start=START)
        await handover.run(follow, line)
        await hub._hub._questions.ask(connections.close_all)
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
    _, *parts = sent(FollowList(access.of(principal), begin))

    text = b"".join(part["body"] for part in parts).decode()
    places = [cursors.read(line.removeprefix("id: ")) for line in text.split("\n") if line.startswith("id: ")]
    assert str(task.pk) not in text
    assert places and places[-1] is not None
    (page,) = events_live.pages([places[-1]], tenants=None, limit=10)
    assert not page.rows
