"""A body that is too large, or that never arrives, is an answer; the application behind sees neither."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agentapp.api.body_limit import BodyLimit, Message

MOST = 100
SCOPE = {"type": "http", "path": "/api/v1/tasks"}


class Exchange:
    """One request through the limit: what arrives, piece by piece, and what is answered."""

    def __init__(self, *pieces: bytes, ends: bool) -> None:
        self._coming: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": not ends or number < len(pieces)}
            for number, piece in enumerate(pieces, start=1)
        ]
        self.sent: list[Message] = []
        self.reached: list[bytes] = []

    async def receive(self) -> Message:
        if self._coming:
            return self._coming.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.reached.append(message["body"])
            more = message["more_body"]

    def run(self, *, within_s: float) -> dict[str, Any]:
        """The problem document of the answer, or nothing where the application was reached."""
        limited = BodyLimit(self.application, max_bytes=MOST, within_s=within_s)
        asyncio.run(limited(SCOPE, self.receive, self.send))
        if not self.sent:
            return {}
        start, body = self.sent
        assert dict(start["headers"])[b"connection"] == b"close"
        document: dict[str, Any] = json.loads(body["body"])
        assert document["status"] == start["status"]
        return document


def test_a_body_that_is_whole_reaches_the_application() -> None:
    exchange = Exchange(b"a" * 60, b"b" * 40, ends=True)
    assert exchange.run(within_s=60) == {}
    assert b"".join(exchange.reached) == b"a" * 60 + b"b" * 40


@pytest.mark.parametrize("pieces", [(), (b"a",), (b"a", b"b")])
def test_a_body_that_stops_on_the_way_is_left_after_its_time(pieces: tuple[bytes, ...]) -> None:
    exchange = Exchange(*pieces, ends=False)
    document = exchange.run(within_s=0.05)
    assert document["status"] == 408 and "Send the request again" in document["detail"]
    assert not exchange.reached


def test_a_body_that_is_too_large_is_refused_also_when_it_stops() -> None:
    assert Exchange(b"a" * 101, ends=True).run(within_s=60)["status"] == 413
    assert Exchange(b"a" * 101, ends=False).run(within_s=0.05)["status"] == 408


@pytest.mark.parametrize(
    ("path", "declared", "reaches"),
    [("/documents", b"application/pdf", True), ("/documents", b"application/json; charset=utf-8", False),
     ("/tasks", b"application/pdf", False), ("/below/documents", b"application/pdf", True)],
)  # fmt: skip
def test_only_files_may_be_as_large_as_uploads(path: str, declared: bytes, reaches: bool) -> None:
    scope = {"type": "http", "path": path, "root_path": "/below" if path.startswith("/below") else ""}
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * 500, "more_body": False}

    async def send(message: Any) -> None: ...

    limited = BodyLimit(app, max_bytes=100, upload_bytes=600)
    asyncio.run(limited({**scope, "headers": [(b"content-type", declared)]}, receive, send))

    assert seen == ([path] if reaches else [])
