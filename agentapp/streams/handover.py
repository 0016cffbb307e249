"""ASGI middleware: Django decides whether a stream may be opened, and lets go of it.

While Django streams a response it keeps a thread for the request. So an endpoint only says what is to be followed: it
puts that into the `Handover` of its request, and answers 200. When Django has finished, and has given its thread and
its connection back, the stream is sent from here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from django.http import HttpRequest

from agentapp.streams import hub, lines, shutdown, waiting
from agentapp.streams.hub import Follow
from agentapp.streams.lines import Line, Message, Receive, Send
from agentapp.streams.reader import Reader
from agentapp.streams.waiting import Wait

KEY = "agentapp.handover"
PING_S = 15.0
# Proxies and load balancers end what is older, in the middle of something.
LONGEST_S = 14 * 60.0
# A WebSocket that is refused where the server cannot send a response to it (RFC 6455: policy violation).
REFUSED = 1008


class Handover:
    """What a request comes to: `follow` is set by an endpoint that opens a stream, `start` is the head of its
    answer. An endpoint whose answer can wait sets `wait`, for `left_s` seconds at most: it is asked again then."""

    def __init__(self, *, is_websocket: bool, left_s: float | None = None) -> None:
        self.is_websocket = is_websocket
        self.left_s = left_s
        self.follow: Follow | None = None
        self.wait: Wait | None = None
        self.start: Message | None = None

    def may_wait(self, wanted_s: float) -> float:
        """Return for how long an endpoint may wait that was asked to wait for `wanted_s` seconds in all."""
        return wanted_s if self.left_s is None else self.left_s

    def take(self, message: Message) -> bool:
        """Keep a message of the response that opens a stream; False for any other response."""
        if message["type"] == "http.response.start":
            self.start = message if self.wait or (self.follow is not None and message["status"] == 200) else None
        return self.start is not None


def of(request: HttpRequest) -> Handover | None:
    """Return the handover of a request; None where the process serves no streams."""
    found: Handover | None = getattr(request, "scope", {}).get(KEY)
    return found


class Streams:
    """Stands in front of Django, and behind what sets its paths right."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await shutdown.live(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        handover = await self._asked(scope, receive, send, left_s=None)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + handover.wait.seconds if handover.wait else 0.0
        while handover.wait:
            if not await waiting.until_news(handover.wait, receive):
                return
            left_s = 0.0 if hub.of_this_process().is_stopping else max(0.0, ends_at - loop.time())
            handover = await self._asked(scope, _Bodiless(), send, left_s=left_s)
        if handover.follow and handover.start:
            await run(handover.follow, lines.ServerSentEvents(receive, send, start=handover.start))

    async def _asked(self, scope: Any, receive: Receive, send: Send, *, left_s: float | None) -> Handover:
        """Let Django answer, unless it is taken over or waits."""
        handover = Handover(is_websocket=False, left_s=left_s)

        async def answer(message: Message) -> None:
            if not handover.take(message):
                await send(message)

        await self.app({**scope, KEY: handover}, receive, answer)
        return handover

    async def _websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        """Ask Django as a GET of the same address would: it knows keys, addresses and problems."""
        await receive()
        handover = Handover(is_websocket=True)
        can_answer = "websocket.http.response" in scope.get("extensions", {})

        async def answer(message: Message) -> None:
            if not handover.take(message) and can_answer:
                await send({**message, "type": f"websocket.{message['type']}"})

        await self.app(_as_get(scope) | {KEY: handover}, _Bodiless(), answer)
        if handover.follow and handover.start:
            await run(handover.follow, lines.WebSocket(receive, send))
        elif not can_answer:
            await send({"type": "websocket.close", "code": REFUSED})


def _as_get(scope: Any) -> dict[str, Any]:
    return {
        **scope,
        "type": "http",
        "method": "GET",
        "scheme": "https" if scope.get("scheme") == "wss" else "http",
        "extensions": {},
    }


class _Bodiless:
    """What Django receives of a request without a body: that, and then nothing."""

    def __init__(self) -> None:
        self._is_read = False

    async def __call__(self) -> Message:
        if self._is_read:
            await asyncio.Event().wait()
        self._is_read = True
        return {"type": "http.request", "body": b"", "more_body": False}


async def run(follow: Follow, line: Line) -> None:
    """Send a stream until it ends, its client goes, or does not take the end of it."""
    streams = hub.of_this_process()
    reader = streams.open(follow)
    writing = asyncio.ensure_future(_write(reader, line))
    watching = asyncio.ensure_future(line.gone())
    try:
        await asyncio.wait({writing, watching, reader.overdue}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        streams.close(reader)
        for task in (writing, watching):
            task.cancel()
        for found in await asyncio.gather(writing, watching, return_exceptions=True):
            # One that the server raises because its client has gone is an OSError.
            if isinstance(found, Exception) and not isinstance(found, OSError):
                raise found


async def _write(reader: Reader, line: Line) -> None:
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + LONGEST_S
    await line.begin()
    while reader.reason is None:
        if loop.time() >= ends_at:
            reader.end("time")
            break
        try:
            async with asyncio.timeout(min(PING_S, ends_at - loop.time())):
                page = await reader.next()
        except TimeoutError:
            if loop.time() < ends_at:
                await line.ping(reader.place)
            continue
        if page:
            await line.write(page)
    # It may have got a last page meanwhile.
    if page := await reader.next():
        await line.write(page)
    if reader.reason and reader.reason != "stop":
        await line.write([lines.ending(reader.reason)])
    await line.close(is_restart=reader.reason == "stop")
