"""Clients of streams: server-sent events as the standard reads them, and WebSockets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from websockets.sync.client import ClientConnection, connect

from agentapp.local import ports
from tests.api import documented

QUIET_S = 30.0


@dataclass(frozen=True)
class Told:
    """One event, as it came."""

    type: str
    id: str | None
    data: dict[str, Any]

    def __post_init__(self) -> None:
        documented.check_event(self.data)

    @property
    def seq(self) -> int:
        return int(self.data["seq"])


class Sse:
    """An open stream; iterating gives its events, and ends when the connection does."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.answer = answer
        self.status = answer.status
        self.headers = answer.headers
        self.comments: list[str] = []
        self.retry_ms: int | None = None

    def __iter__(self) -> Iterator[Told]:
        fields: dict[str, str] = {}
        for line in self._lines():
            name, _, value = line.partition(": ")
            if not line:
                if "data" in fields:
                    yield Told(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
                fields = {}
            elif not name:
                self.comments.append(value)
            elif name == "retry":
                self.retry_ms = int(value)
            else:
                fields[name] = value

    def _lines(self) -> Iterator[str]:
        try:
            while line := self.answer.readline():
                yield line.decode().removesuffix("\n")
        except (OSError, http.client.HTTPException):
            # The process was killed: a client comes back, and so does its test.
            return

    def read_id(self) -> str:
        """Return the next id, also of a block without data: a client keeps that too."""
        return next(line for line in self._lines() if line.startswith("id: ")).removeprefix("id: ")

    def problem(self) -> dict[str, Any]:
        return dict(json.loads(self.answer.read()))

    def take(self, count: int) -> list[Told]:
        """Return the next events."""
        events = iter(self)
        return [next(events) for _ in range(count)]


@contextmanager
def following(port: int, path: str, *, token: str = "", method: str = "GET", **headers: str) -> Iterator[Sse]:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=QUIET_S)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        yield Sse(connection.getresponse())
    finally:
        connection.close()


@contextmanager
def socket(port: int, path: str, *, token: str = "") -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"ws://{ports.HOST}:{port}{path}"
    # It reads on while nobody takes its messages, so that it sees the server's answer when it closes.
    found = connect(address, additional_headers=headers, open_timeout=QUIET_S, max_queue=None)
    with found:
        yield found


def told(found: ClientConnection) -> Iterator[Told]:
    for message in found:
        event = json.loads(message)
        yield Told(event["event"], event.get("id"), event["data"])
