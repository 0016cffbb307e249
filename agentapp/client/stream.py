"""The events of a task, in order, each once: what holds them together over connections that end."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agentapp.client.calls import PASSING
from agentapp.client.errors import Refused, Unreachable

# A line on which nothing comes for so long is dead: there is a ping every fifteen seconds.
SILENT_S = 45.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
# So many failures in a row are those of a process that starts again.
SOON = 4
# A service that was there and does not come back within this is gone.
GONE_S = 600.0


@dataclass(frozen=True)
class Event:
    """`type`: task, job, blocked, approval, notice, delta, done or reset. `id`: the place to resume after. The
    reference of the API says what stands in `data`."""

    type: str
    id: str
    data: dict[str, Any]


@dataclass
class Place:
    """Where a stream is, over all its connections. `is_over`: nothing comes any more."""

    last_id: str
    timeout_s: float
    is_over: bool = False
    failures: int = 0
    _retry_s: float = FIRST_PAUSE_S
    _is_known: bool = False
    _heard_s: float = field(default_factory=time.monotonic)

    def headers(self) -> dict[str, str]:
        return {"Last-Event-ID": self.last_id} if self.last_id else {}

    def opened(self, status: int, content: bytes) -> bool:
        """Tell whether a connection is a stream; `content` says why it is none. Raises Refused where another try cannot
        help."""
        if status == 200:
            self._is_known, self._heard_s = True, time.monotonic()
            return True
        if status not in PASSING:
            raise Refused({**_problem(content), "status": status})
        return False

    def came(self, kind: str, last_id: str, data: Any, retry_ms: int | None) -> Event | None:
        """Take what came; return the event that it is, None for what concerns the line alone."""
        self.failures, self._heard_s = 0, time.monotonic()
        if retry_ms is not None:
            self._retry_s = min(retry_ms / 1000, LONGEST_PAUSE_S)
        if kind == "end":
            self.is_over = data.get("reason") in ("done", "access")
            return None
        if kind == "reset":
            self.last_id = ""
        elif last_id:
            self.last_id = last_id
        return Event(kind, last_id, data) if kind != "message" else None

    def pause_s(self) -> float:
        """How long to wait before the next connection: soon while a process may just start again, then longer.

        Raises:
            Unreachable: nothing has answered within `timeout_s`, or for ten minutes after it had.
        """
        if time.monotonic() - self._heard_s > (GONE_S if self._is_known else self.timeout_s):
            raise Unreachable("Nothing answers at the address of the stream.")
        self.failures += 1
        pause_s: float = min(LONGEST_PAUSE_S, self._retry_s * 2.0 ** min(max(0, self.failures - SOON), 6))
        return pause_s * (0.5 + random.random() / 2)  # noqa: S311 - jitter


def _problem(content: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        problem = json.loads(content)
        return problem if isinstance(problem, dict) else {}
    return {}


@dataclass
class Texts:
    """The texts of the jobs that write, put together of `delta` events."""

    by_job: dict[str, str] = field(default_factory=dict)

    def apply(self, event: Event) -> str:
        """Take a `delta` and return the whole text of its job so far."""
        job, offset = event.data["job"], event.data["offset"]
        self.by_job[job] = self.by_job.get(job, "")[:offset] + event.data["text"]
        return self.by_job[job]
