"""The outside world of the tests: a process that writes down each call, and never takes one back.

`python -m tests.recorder FILE` serves on a free port of loopback and prints it. `POST /lines` appends the body, a JSON
object, as one line to FILE and answers with its number. `GET /effects/{id}` answers with the first call for an effect,
or 404: a provider that can be asked. `GET /echo` answers with the headers of the request. What a test counts, it counts
in the file.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

Json = dict[str, Any]

ADDRESS_VARIABLE = "TESTS_RECORDER"
_CHECKOUT = Path(__file__).resolve().parents[1]
_TIMEOUT_S = 10


def note(what: str, **more: Any) -> Json:
    """Write one line, from a body; return {"line": its number, from 1}."""
    return _ask("POST", "/lines", {"what": what, "pid": os.getpid(), **more}) or {}


def first_call(effect_id: str) -> Json | None:
    """Return what the first call for an effect was answered, or None when there was none."""
    return _ask("GET", f"/effects/{effect_id}")


def _ask(method: str, path: str, body: Json | None = None) -> Json | None:
    connection = http.client.HTTPConnection(os.environ[ADDRESS_VARIABLE], timeout=_TIMEOUT_S)
    try:
        connection.request(method, path, body=json.dumps(body) if body else None)
        response = connection.getresponse()
        content: Json | None = json.loads(response.read()) if response.status == http.HTTPStatus.OK else None
        return content
    finally:
        connection.close()


class Recorder:
    """The process, as tests see it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.recorder", str(self._file)],
            cwd=_CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.address = f"127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def mark(self) -> int:
        """Where the file ends now; see `lines`."""
        return self._file.stat().st_size

    def tail(self, what: str) -> Tail:
        """Count the lines of a sort from now on."""
        return Tail(self._file, f'{{"what": "{what}"'.encode())

    def lines(self, what: str, *, since: int = 0) -> list[Json]:
        """Return the lines of a sort, in order; `since` is a mark."""
        with self._file.open("rb") as file:
            file.seek(since)
            found = [json.loads(line) for line in file]
        return [line for line in found if line["what"] == what]


class Tail:
    """A count that reads each line once, however often it is asked."""

    def __init__(self, file: Path, beginning: bytes) -> None:
        self._file = file.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._beginning = beginning
        self._count = 0
        self._lock = threading.Lock()

    def count(self) -> int:
        with self._lock:
            # Each line is written in one piece, so that no half of one is read.
            self._count += sum(line.startswith(self._beginning) for line in self._file)
            return self._count


class _Book:
    """The file, and in memory what may be asked."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._lines = 0
        self.effects: dict[str, Json] = {}

    def append(self, content: Json) -> Json:
        with self._lock:
            os.write(self._descriptor, json.dumps(content).encode() + b"\n")
            self._lines += 1
            answer = {"line": self._lines}
            if content["what"] == "effect":
                self.effects.setdefault(content["effect"], answer)
            return answer


class _Handler(BaseHTTPRequestHandler):
    book: _Book

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.book.append(content))

    def do_GET(self) -> None:
        if self.path == "/echo":
            self._answer(dict(self.headers))
            return
        self._answer(self.book.effects.get(self.path.rpartition("/")[2]))

    def _answer(self, content: Json | None) -> None:
        self.send_response(http.HTTPStatus.NOT_FOUND if content is None else http.HTTPStatus.OK)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """The file is the log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main(file: str) -> None:
    _Handler.book = _Book(Path(file))
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
