"""One deadline and one size for a whole HTTP call, kept where the bytes come in.

A client's own time-outs hold from one read to the next: a provider that sends a byte or a blank line now and then, or
never ends, keeps such a call open forever. Here each read and write of a connection gets what is left of its call.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2

# More than any answer of a model or a batch of vectors has, with its headers, as it comes over the wire.
LONGEST_ANSWER_BYTES = 32 * 1024 * 1024
_WRITTEN_AT_ONCE = 64 * 1024


class _Call(threading.local):
    """What is left of the call that this thread makes; a connection is read by the thread that uses it."""

    ends_s: float = float("inf")
    bytes_left: int = LONGEST_ANSWER_BYTES


_call = _Call()


@contextmanager
def within(ends_s: float) -> Iterator[None]:
    """Hold every read and write of this thread's HTTP calls to a deadline on the monotonic clock, and to a size."""
    _call.ends_s, _call.bytes_left = ends_s, LONGEST_ANSWER_BYTES
    try:
        yield
    finally:
        _call.ends_s = float("inf")


Backend = httpcore2.NetworkBackend


def install(client: httpx2.Client, *, connects: Callable[[Backend], Backend] | None = None) -> httpx2.Client:
    """Make all connections of a client, also those through proxies, keep the deadlines of `within`.

    `connects` is put around what makes them.
    """
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.HTTPTransport):
            # The pool takes a backend when it is made, but httpx2 makes the pool; a test shows that this holds.
            backend = transport._pool._network_backend
            transport._pool._network_backend = _Backend(connects(backend) if connects else backend)
    return client


def _left_s(timeout: float | None, kind: type[httpcore2.TimeoutException]) -> float | None:
    left_s = _call.ends_s - time.monotonic()
    if left_s <= 0:
        raise kind("the time for the whole call is over")
    return left_s if timeout is None else min(timeout, left_s)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found = self._stream.read(max_bytes, _left_s(timeout, httpcore2.ReadTimeout))
        _call.bytes_left -= len(found)
        if _call.bytes_left < 0:
            raise httpcore2.ReadError(f"the answer has more than {LONGEST_ANSWER_BYTES} bytes")
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITTEN_AT_ONCE):
            piece = buffer[start : start + _WRITTEN_AT_ONCE]
            self._stream.write(piece, _left_s(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left_s = _left_s(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, backend: httpcore2.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:  # fmt: skip
        left_s = _left_s(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(host, port, left_s, local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        left_s = _left_s(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._backend.connect_unix_socket(path, left_s, socket_options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
