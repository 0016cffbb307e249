"""What this process has done since it started, for its heartbeat to tell: the dispatcher makes rates of it."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict

from agentapp.lifecycle.opened import Claimed
from agentapp.observability import events
from agentapp.policies.backlog import WEBHOOKS

# What has not changed for so long was read: a process that worked for thousands of tenants need not tell it forever.
FORGOTTEN_S = 60.0


class WorkerCounters:
    """[how many, seconds] by key: messages of a queue that began a job, begun tasks of a tenant and in all, ended
    bodies of a type, events that tell of a problem."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
        self._changed_at_s: dict[str, float] = {}
        self._pid = os.getpid()

    def took(self, job: Claimed) -> None:
        """A message was used up by this job; what follows it in place has none."""
        self._add(f"queue:{job.queue}")

    def began(self, job: Claimed) -> None:
        # Of tasks of clients: how fast those begin that wait is told from it.
        if job.began and job.queue != WEBHOOKS:
            self._add("global")
            self._add(f"tenant:{job.tenant_id}")

    def ended(self, job: Claimed, *, run_s: float) -> None:
        self._add(f"job_type:{job.type}", run_s)

    def happened(self, event: str) -> None:
        """An event was logged that tells of a problem."""
        self._add(f"{events.COUNTED}{event}")

    def _add(self, key: str, seconds: float = 0.0) -> None:
        with self._lock:
            if self._pid != os.getpid():
                # A forked child has done nothing yet.
                self._pid = os.getpid()
                self._counts.clear()
                self._changed_at_s.clear()
            self._counts[key][0] += 1
            self._counts[key][1] += seconds
            self._changed_at_s[key] = time.monotonic()

    def counts(self) -> dict[str, tuple[float, float]]:
        with self._lock:
            if self._pid != os.getpid():
                return {}
            old_s = time.monotonic() - FORGOTTEN_S
            # Those of events are few, and are read once a minute.
            forgotten = (key for key, at_s in self._changed_at_s.items() if at_s < old_s)
            for key in [key for key in forgotten if not key.startswith(events.COUNTED)]:
                del self._counts[key], self._changed_at_s[key]
            mine = self._counts
            return {key: (n, round(seconds, 3)) for key, (n, seconds) in mine.items()}


counters = WorkerCounters()
