"""A broker that nobody can trust: a proxy before Valkey that repeats, shuffles, forges and soils what is published."""

from __future__ import annotations

import base64
import json
import random
import socket
import socketserver
import threading
from collections import Counter, deque
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

Arguments = list[bytes]

COPIES = 3
REMEMBERED = 200
GARBAGE = (b"", b"\xff\xfe\x00", b"%PDF-1.7", b"[1, 2, 3]", b'{"headers": {"task": "chaos_read"}}')


class FaultyBroker:
    """Serves on a free port of loopback, and talks to the Valkey of `url`; `address` is its own url.

    Every message of a job is put in three times, between a stale one of before, a forged one and garbage, in any
    order. `put` counts what was put in, by sort.
    """

    def __init__(self, url: str, dice: random.Random) -> None:
        self._upstream = urlsplit(url)
        self._dice = dice
        self._lock = threading.Lock()
        self._seen: deque[bytes] = deque(maxlen=REMEMBERED)
        self.put: Counter[str] = Counter()
        faulty_broker = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                faulty_broker.serve(self.connection, self.rfile)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        user, _, _ = self._upstream.netloc.rpartition("@")
        return urlunsplit(self._upstream._replace(netloc=f"{user}@127.0.0.1:{self._server.server_address[1]}"))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, client: socket.socket, commands: Any) -> None:
        """Carry the commands of one client to Valkey, and what it answers back, until one of them leaves."""
        with socket.create_connection((self._upstream.hostname or "", self._upstream.port or 0)) as valkey:
            threading.Thread(target=_carry, args=(valkey, client), daemon=True).start()
            with suppress(OSError):
                while command := _read(commands):
                    valkey.sendall(_write(self._changed(command)))

    def _changed(self, command: Arguments) -> Arguments:
        """Return the command with a message's company added; the answer to it is still one number."""
        if command[0].upper() != b"LPUSH" or len(command) != 3:
            return command
        job_message = _job_message(command[2])
        if job_message is None:
            return command
        with self._lock:
            company = [command[2]] * (COPIES - 1)
            if self._seen:
                company += [self._dice.choice(self._seen)]
            forged = self._forged(job_message)
            garbage = [self._dice.choice(GARBAGE)]
            self._seen.append(command[2])
            self.put.update(copies=COPIES, stale=len(company) - COPIES + 1, forged=len(forged), garbage=len(garbage))
            values = [command[2], *company, *forged, *garbage]
            self._dice.shuffle(values)
            return [*command[:2], *values]

    def _forged(self, message: dict[str, Any]) -> list[bytes]:
        """Messages that nobody sent: an unknown job, the name of another type, and what is not due yet."""
        body = json.loads(base64.b64decode(message["body"]))
        stranger = _with(message, [[str(uuid4())], {}, {}])
        other_type = _with(message, [body[0], {}, {}], task=self._dice.choice(("chaos_post", "chaos_book")))
        early = [
            _with(message, [link["args"], {}, {}], task=link["task"])
            for link in [*(body[2].get("chain") or ()), body[2].get("chord")]
            if link
        ]
        return [stranger, other_type, *early]


def _job_message(entry: bytes) -> dict[str, Any] | None:
    """Read an entry that is a message about a job; None for what Celery's processes tell each other."""
    with suppress(ValueError, KeyError, TypeError):
        message: dict[str, Any] = json.loads(entry)
        if str(message["headers"]["task"]).startswith("chaos_"):
            return message
    return None


def _with(message: dict[str, Any], body: list[Any], *, task: str = "") -> bytes:
    headers = message["headers"] | {"id": str(uuid4())} | ({"task": task} if task else {})
    properties = message["properties"] | {"delivery_tag": str(uuid4())}
    text = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(message | {"headers": headers, "properties": properties, "body": text}).encode()


def _read(stream: Any) -> Arguments | None:
    """Read one command in Valkey's protocol; None when the client has left."""
    head = stream.readline()
    if not head:
        return None
    arguments = []
    for _ in range(int(head[1:])):
        size = int(stream.readline()[1:])
        arguments.append(stream.read(size + 2)[:-2])
    return arguments


def _write(arguments: Arguments) -> bytes:
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%s\r\n" % (len(argument), argument) for argument in arguments]
    return b"".join(parts)


def _carry(valkey: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while answer := valkey.recv(65_536):
            client.sendall(answer)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
