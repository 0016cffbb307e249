"""This worker process: its name, what it serves, and whether it ends."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import time
from dataclasses import dataclass, field

_DOUBLE = struct.Struct("d")


@dataclass
class Process:
    """`name` is Celery's node name, `queues` the worker classes that it serves, `prefork` whether bodies run in
    children with hard time limits, `slots` how many bodies it runs at once."""

    name: str = f"inline@{socket.gethostname()}"
    queues: tuple[str, ...] = ()
    prefork: bool = False
    slots: int = 1
    sends_events: bool = False
    # Memory that forked children share with their parent: Celery tells only the parent that it ends.
    _since: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, _DOUBLE.size), repr=False)
    _alone_since_s: float = 0.0

    @property
    def draining_since_s(self) -> float:
        """When this process, or its parent, began to end, on the monotonic clock; 0 = it does not."""
        shared_s: float = _DOUBLE.unpack_from(self._since)[0]
        return shared_s or self._alone_since_s

    def drain_alone(self) -> None:
        """This child of a pool ends, and its parent and siblings do not."""
        self._alone_since_s = self._alone_since_s or time.monotonic()

    @property
    def draining(self) -> bool:
        """Whether this process, or its parent, ends: it begins nothing new."""
        return self.draining_since_s > 0

    @draining.setter
    def draining(self, value: bool) -> None:
        if value != self.draining:
            _DOUBLE.pack_into(self._since, 0, time.monotonic() if value else 0.0)

    @property
    def actor(self) -> str:
        """Name with process id: what attempts and histories show."""
        return f"{self.name}:{self.pid}"

    @property
    def pid(self) -> int:
        return os.getpid()


this = Process()
