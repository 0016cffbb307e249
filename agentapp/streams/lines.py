"""How events go over the two kinds of connection: server-sent events, and a WebSocket. The same events on both."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol

from agentapp.streams.events import Event, rendered

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# After how long a client comes back. Not all at the same moment: all have lost the same process.
RETRY_MS = (300, 1_000)
# Of a WebSocket: it has ended as it should; the process ends and another one goes on (RFC 6455, 7.4.1 and IANA).
NORMAL, RESTART = 1000, 1012
# What a response that has no end may not say, and what we say ourselves.
_REPLACED = frozenset({b"content-length", b"content-type", b"cache-control", b"x-accel-buffering"})
_SSE_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    # nginx would hold the events back until it has enough of them.
    (b"x-accel-buffering", b"no"),
)


class Line(Protocol):
    """One connection, from which nothing is read but that it has gone."""

    async def begin(self) -> None: ...
    async def write(self, page: Sequence[Event]) -> None: ...
    async def ping(self, place: str | None) -> None: ...
    async def close(self, *, is_restart: bool) -> None: ...
    async def gone(self) -> None: ...


class ServerSentEvents:
    """The body of a response that was begun by Django: `start` is its head."""

    def __init__(self, receive: Receive, send: Send, *, start: Message) -> None:
        self._receive = receive
        self._send = send
        self._start = start

    async def begin(self) -> None:
        kept = [(name, value) for name, value in self._start["headers"] if name.lower() not in _REPLACED]
        await self._send({**self._start, "headers": [*kept, *_SSE_HEADERS]})
        await self._body(f"retry: {random.randint(*RETRY_MS)}\n\n")  # noqa: S311 - jitter

    async def write(self, page: Sequence[Event]) -> None:
        await self._body("".join(map(_framed, page)))

    async def ping(self, place: str | None) -> None:
        await self.write([Event("ping", "{}", place)])

    async def close(self, *, is_restart: bool) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def gone(self) -> None:
        await until(self._receive, "http.disconnect")

    async def _body(self, text: str) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": True})


class WebSocket:
    """Each event is one message: {"event", "id", "data"}. What the client sends is not read."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def begin(self) -> None:
        await self._send({"type": "websocket.accept"})

    async def write(self, page: Sequence[Event]) -> None:
        for event in page:
            place = f'"id":{json.dumps(event.id)},' if event.id is not None else ""
            await self._send(
                {"type": "websocket.send", "text": f'{{"event":"{event.type}",{place}"data":{event.data}}}'}
            )

    async def ping(self, place: str | None) -> None:
        await self.write([Event("ping", "{}", place)])

    async def close(self, *, is_restart: bool) -> None:
        await self._send({"type": "websocket.close", "code": RESTART if is_restart else NORMAL})

    async def gone(self) -> None:
        await until(self._receive, "websocket.disconnect")


async def until(receive: Receive, kind: str) -> None:
    """Read what a client sends until a message of this type; pass over the rest."""
    while (await receive())["type"] != kind:
        pass


def _framed(event: Event) -> str:
    place = f"id: {event.id}\n" if event.id is not None else ""
    if event.type == "ping":
        # A comment. Without data nothing is told, but the client keeps the id.
        return f": ping\n{place}\n"
    return f"event: {event.type}\n{place}data: {event.data}\n\n"


def ending(reason: str) -> Event:
    """The last event of a stream that ends as it should."""
    return Event("end", rendered({"reason": reason}))
