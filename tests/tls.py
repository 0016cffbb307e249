"""TLS in front of a server that has none: a gateway that refuses plain text and counts it, and its certificates."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from agentapp.local import ports

CHUNK = 65_536


class Certificates:
    """An authority of this test and a certificate of it for localhost alone, made by the openssl command."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("openssl"):
            pytest.skip("there is no openssl command to make certificates with")
        self.authority = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        ca_key = folder / "ca.key"
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
                 "-keyout", ca_key, "-out", self.authority)  # fmt: skip
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
                 "-CA", self.authority, "-CAkey", ca_key, "-keyout", self.key, "-out", self.certificate)  # fmt: skip


def _openssl(*arguments: str | Path) -> None:
    made = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


class TlsGateway:
    """Listens on loopback, ends TLS, and hands everything to `target`; `plain` counts who came without TLS."""

    def __init__(self, target: tuple[str, int], certificates: Certificates) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.certificate, certificates.key)
        self._listener = socket.create_server((ports.HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self.plain = self.refused = self.encrypted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> TlsGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            if client.recv(1, socket.MSG_PEEK) != b"\x16":  # the first byte of a TLS handshake
                self.plain += 1
                return
            try:
                secured = self._context.wrap_socket(client, server_side=True)
            except OSError:
                self.refused += 1
                return
            self.encrypted += 1
            with secured, socket.create_connection(self._target) as server, contextlib.suppress(OSError):
                _carry(secured, server)


def _carry(secured: ssl.SSLSocket, server: socket.socket) -> None:
    while True:
        readable = [secured] if secured.pending() else select.select([secured, server], [], [])[0]
        for source in readable:
            data = source.recv(CHUNK)
            if not data:
                return
            (server if source is secured else secured).sendall(data)
