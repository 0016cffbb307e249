"""ASGI middleware: Django decides whether an MCP request may be answered, and lets go of it; agentapp.mcp_server.server
answers.

That module, and with it the package `mcp`, is loaded for the first request: it takes as long to import as all the rest
of the web process, of which most serve no assistant.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from agentapp.mcp_server.endpoint import KEY, Handover

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

# In the answer of Django these belong to a body that is not sent.
_OF_THE_BODY = (b"content-type", b"content-length")


class McpServer:
    """Stands in front of Django, and behind what limits bodies."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        handover = Handover()

        async def answer(message: Message) -> None:
            if not handover.take(message):
                await send(message)

        await self.app({**scope, KEY: handover}, receive, answer)
        if handover.accepted and handover.start:
            # In a thread: other requests are answered meanwhile.
            server = await asyncio.to_thread(importlib.import_module, "agentapp.mcp_server.server")
            await server.serve({**scope, KEY: handover}, receive, _with_headers(send, handover.start))


def _with_headers(send: Send, start: Message) -> Send:
    """Add the headers of Django's answer, which say what a browser and a cache may do."""
    kept = [(name.lower(), value) for name, value in start["headers"] if name.lower() not in _OF_THE_BODY]
    names = {name for name, _ in kept}

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name, value) for name, value in message["headers"] if name.lower() not in names]
            message = {**message, "headers": [*own, *kept]}
        await send(message)

    return answer
