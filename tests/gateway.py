"""A way to Postgres that can stand still: connected, and without a word, as a server that was stopped by SIGSTOP. And
one to a broker that can refuse everything, as a server that has just started.

One process of a test goes through it; the server itself goes on for all others.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from urllib.parse import parse_qs, urlsplit, urlunsplit

from agentapp.local import ports

CHUNK = 65_536
COMMAND = re.compile(rb"(?:\A|\r\n)\*\d+\r\n")


class Gateway:
    """Listens on loopback and hands everything on to the server of a database URL, unless it is `frozen`."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server((ports.HOST, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The same database by way of this gateway."""
        account = self._url.netloc.rpartition("@")[0]
        address = f"{ports.HOST}:{self._listener.getsockname()[1]}"
        return urlunsplit(self._url._replace(netloc=f"{account}@{address}" if account else address, query=""))

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def close(self) -> None:
        self._listener.close()
        self.thaw()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = self._connect()
                except OSError:
                    # The server is away for a moment: the next one may come through.
                    client.close()
                    continue
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _connect(self) -> socket.socket:
        folder = parse_qs(self._url.query).get("host", [""])[0]
        if not folder:
            return socket.create_connection((self._url.hostname or ports.HOST, self._url.port or 5432))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.5432")
        return server

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := one.recv(CHUNK):
                self._flows.wait()
                self._pass(chunk, one, other)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass(self, chunk: bytes, one: socket.socket, other: socket.socket) -> None:
        other.sendall(chunk)


class BrokerGateway(Gateway):
    """While it `says` something, that is the answer to each command, and none is handed on."""

    says = ""

    def _pass(self, chunk: bytes, one: socket.socket, other: socket.socket) -> None:
        is_of_a_client = one.getsockname() == self._listener.getsockname()
        if self.says and is_of_a_client:
            one.sendall(f"-{self.says}\r\n".encode() * len(COMMAND.findall(chunk)))
        else:
            super()._pass(chunk, one, other)
