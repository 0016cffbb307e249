"""A model provider that answers whatever a test wants: a real HTTP server on loopback, in a thread of the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream"}


@dataclass(frozen=True)
class Odd:
    """An answer. A body in pieces is sent piece by piece, and ends when the connection does."""

    body: bytes | Callable[[], Iterable[bytes]] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


def whole(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Odd:
    """An answer with a JSON body."""
    return Odd(json.dumps(body).encode(), status=status, headers={**JSON, **(headers or {})})


def events(*bodies: Any, done: bool = True) -> Odd:
    """A stream of chunks, as the specification has it."""
    lines = [f"data: {json.dumps(body)}\n\n".encode() for body in bodies]
    return Odd(lambda: [*lines, *([b"data: [DONE]\n\n"] if done else [])], headers=EVENTS)


def completion(message: Json, *, finish: Any = "stop", **frame: Any) -> Json:
    """The body of a chat completion with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c-1", "object": "chat.completion", "model": "odd", "choices": [choice], **frame}


def chunk(delta: Any = None, *, finish: Any = None, **frame: Any) -> Json:
    """One chunk of a stream; without a delta, as some providers send it."""
    choice = {"index": 0, "finish_reason": finish} | ({} if delta is None else {"delta": delta})
    return {"id": "c-1", "object": "chat.completion.chunk", "model": "odd", "choices": [choice], **frame}


class OddServer:
    """`answer(body)` is asked for each request; `requests` are the bodies that came, and `headers` their headers."""

    def __init__(self) -> None:
        self.requests: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[Json], Odd] = lambda body: Odd(status=500)
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def drip(self, piece: bytes, *, first: bytes = b"") -> Odd:
        """An answer that never ends: a piece every 20 ms, as long as somebody takes it."""

        def pieces() -> Iterator[bytes]:
            yield first
            while not self.stopping.wait(0.02):
                yield piece

        return Odd(pieces, headers=EVENTS)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        odd_server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                odd_server.requests.append(body)
                odd_server.headers.append({name.lower(): value for name, value in self.headers.items()})
                try:
                    self._send(odd_server.answer(body))
                except (BrokenPipeError, ConnectionResetError):
                    # The client has had enough.
                    self.close_connection = True

            def _send(self, odd: Odd) -> None:
                self.send_response(odd.status)
                for name, value in odd.headers.items():
                    self.send_header(name, value)
                if isinstance(odd.body, bytes):
                    self.send_header("Content-Length", str(len(odd.body)))
                    self.end_headers()
                    self.wfile.write(odd.body)
                    return
                self.send_header("Connection", "close")
                self.end_headers()
                for piece in odd.body():
                    self.wfile.write(piece)

            def log_message(self, format: str, *arguments: Any) -> None:
                """The test looks at `requests`."""

        return Handler
