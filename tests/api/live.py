"""The web process itself, as the Procfile starts it: uvicorn over a real socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

from agentapp.local import ports

# Of a busy machine. A process that hangs is found all the same.
START_S = 120.0
ANSWER_S = 60.0


class Web:
    """A running web process; `ask` is one request on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pid = 0
        self.url = f"http://{ports.HOST}:{port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, http.client.HTTPMessage, Any]:
        """Return status, headers and the JSON of the answer; an iterable of bytes is sent in chunks."""
        content = json.dumps(body) if isinstance(body, dict) else body
        status, answered, text = self.raw(method, path, {"Content-Type": "application/json", **headers}, content)
        return status, answered, json.loads(text)

    def raw(
        self, method: str, path: str, headers: dict[str, str], body: Any = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and the bytes of the answer."""
        connection = http.client.HTTPConnection(ports.HOST, self.port, timeout=ANSWER_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def environment() -> dict[str, str]:
    """Return the environment of a process that works on the database of this test run."""
    name = str(connection.settings_dict["NAME"])
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}")
    return {**os.environ, "DATABASE_URL": urlunsplit(database), "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


@contextmanager
def serving(env: dict[str, str], *options: str) -> Iterator[Web]:
    """Run a web process with this environment, and these options of uvicorn, until the block ends."""
    web = Web(ports.free(1)[0])
    command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", ports.HOST]
    process = subprocess.Popen(
        [*command, "--port", str(web.port), "--no-access-log", "--log-level", "warning", *options], env=env
    )
    web.pid = process.pid
    try:
        _wait(web, process)
        yield web
    finally:
        process.terminate()
        try:
            process.wait(timeout=START_S)
        except subprocess.TimeoutExpired:
            # It says where each of its threads is.
            process.send_signal(signal.SIGABRT)
            process.wait()
            raise


def _wait(web: Web, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, "the web process ended while it started"
        try:
            assert web.ask("GET", "/healthz")[0] == 200
            return
        except OSError:
            assert time.monotonic() < deadline, "the web process does not answer"
            time.sleep(0.05)
