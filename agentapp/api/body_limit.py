"""Refuse large bodies before anything is kept of them, and bodies that never arrive.

Django's ASGI handler spools a whole body to the disk before a view, and so an API key, is looked at. This wrapper
counts first. It reads on for a while without keeping anything, because a client that still sends while the connection
closes sees a reset instead of the answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from agentapp.api import problems
from agentapp.api.body import media_type, too_large
from agentapp.api.problems import Problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

# How many times the limit is read and thrown away before the connection is simply closed.
PATIENCE = 16
# A body of the largest size arrives within this time also over a slow line.
WITHIN_S = 60.0
# What a form adds to its file.
AROUND_BYTES = 20_000
# Below any path at which the service is reached.
UPLOADS = ("/documents", "/documents/", "/admin/agentapp/document/add/")


def _is_upload(scope: Any) -> bool:
    """Tell whether a request sends a file, and not JSON."""
    if scope["path"].removeprefix(scope.get("root_path", "")) not in UPLOADS:
        return False
    declared = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return media_type(declared.decode("latin-1")) not in ("", "application/json")


class BodyLimit:
    """ASGI middleware: at most `max_bytes` of a body reach `app`; more is a 413 problem document, and a body that has
    not arrived after `within_s` seconds is a 408. Where files are uploaded, they may have `upload_bytes`."""

    def __init__(self, app: App, *, max_bytes: int, upload_bytes: int = 0, within_s: float = WITHIN_S) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.upload_bytes = max(max_bytes, upload_bytes + AROUND_BYTES if upload_bytes else 0)
        self.within_s = within_s

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self.upload_bytes if _is_upload(scope) else self.max_bytes
        try:
            async with asyncio.timeout(self.within_s):
                kept, size = await self._read(receive, most)
        except TimeoutError:
            words = f"The body did not arrive within {self.within_s:g} seconds. Send the request again."
            await self._refuse(Problem("request-timeout", words), scope["path"], send)
            return
        if size > most:
            await self._refuse(too_large(most), scope["path"], send)
            return

        async def replay() -> Message:
            # After the body only a disconnect can come, and the server tells it.
            return kept.pop(0) if kept else await receive()

        await self.app(scope, replay, send)

    @staticmethod
    async def _read(receive: Receive, most: int) -> tuple[list[Message], int]:
        """Return the body's messages (none kept once it is too large) and the bytes counted."""
        kept: list[Message] = []
        size, more = 0, True
        while more and size <= most * PATIENCE:
            message = await receive()
            size += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            kept.append(message)
            if size > most:
                kept.clear()
        return kept, size

    @staticmethod
    async def _refuse(problem: Problem, path: str, send: Send) -> None:
        content = json.dumps(problem.document(instance=path)).encode()
        # What is still to come of the body must not be read as the next request.
        headers = [
            (b"content-type", problems.MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": problem.kind.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
