"""A connection whose reads and writes share what is left of one call, in time and in bytes."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any


def left_s(deadline_s: float) -> float:
    """Return the seconds until a moment of the monotonic clock. Raises TimeoutError when it is over."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


class Wire:
    """A connection on which each read and write gets what is left of the whole call, in time and in bytes.

    http.client takes it for a socket.
    """

    def __init__(self, link: socket.socket, *, deadline_s: float, read_s: float, bytes_left: int) -> None:
        self._link = link
        self._deadline_s = deadline_s
        self._read_s = read_s
        self._bytes_left = bytes_left

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def end_within(self, seconds: float) -> None:
        """Let what is still to come take no longer than this."""
        self._deadline_s = min(self._deadline_s, time.monotonic() + seconds)

    def sendall(self, data: bytes) -> None:
        self._link.settimeout(left_s(self._deadline_s))
        self._link.sendall(data)

    def recv_into(self, buffer: memoryview) -> int:
        if self._bytes_left <= 0:
            raise http.client.HTTPException("the answer is too large")
        self._link.settimeout(min(self._read_s, left_s(self._deadline_s)))
        count = self._link.recv_into(buffer[: self._bytes_left])
        self._bytes_left -= count
        return count

    def makefile(self, mode: str, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self))

    def close(self) -> None:
        """Nothing: http.client closes before it has read, and this ends with its `with` block."""


class _Reading(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.recv_into(memoryview(buffer))
