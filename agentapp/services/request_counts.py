"""What this web process has counted of its requests, and the thread that stores it: no request waits for that. [H1]"""

from __future__ import annotations

import bisect
import logging
import threading
from collections import Counter, defaultdict

from django.db import connections

from agentapp.models import RequestCount
from agentapp.observability import events
from agentapp.policies import durations, faults
from agentapp.policies.faults import Fault

# What a process that is killed takes with it.
EVERY_S = 10.0
# How long a process that ends waits for a Postgres that may not answer.
END_S = 3.0

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"


class RequestCounts:
    """Counts in memory, by keys that are few. What cannot be stored is kept, and stored with what comes next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, Counter[int]] = {}
        self._run_s: defaultdict[str, float] = defaultdict(float)
        # Taken from the counts: it may be stored already, and has its id for that.
        self._unsure: RequestCount | None = None
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is a template, and one of few."""
        key = f"{method if method in METHODS else OTHER} {status // 100}xx {route}"
        with self._lock:
            self._runs.setdefault(key, Counter())[bisect.bisect_right(durations.BOUNDS_S, seconds)] += 1
            self._run_s[key] += seconds

    def begin(self) -> None:
        """Let a thread of this process store what is counted, from now on. After a fork."""
        self._ends.clear()
        self._thread = threading.Thread(target=self._run, name="request counts", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Store what is left: no request comes any more."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(END_S)

    def store(self) -> None:
        """Store what was counted since the last time, or what could not be stored then. Raises django.db.Error."""
        self._unsure = self._unsure or self._taken()
        if self._unsure is not None:
            RequestCount.objects.bulk_create([self._unsure], ignore_conflicts=True)
            self._unsure = None

    def _taken(self) -> RequestCount | None:
        with self._lock:
            runs, self._runs = self._runs, {}
            run_s, self._run_s = self._run_s, defaultdict(float)
        counts = {key: (durations.listed(mine), round(run_s[key], 6)) for key, mine in runs.items()}
        return RequestCount(counts=counts) if counts else None

    def _run(self) -> None:
        fails = False
        while not self._ends.wait(EVERY_S):
            fails = not self._try(tells=not fails)
        # What could not be stored before, and the rest.
        if self._try(tells=not fails):
            self._try(tells=True)

    def _try(self, *, tells: bool) -> bool:
        """Store it, whatever may be wrong; once is enough to tell of it."""
        with faults.caught(*Fault) as caught:
            try:
                self.store()
            finally:
                connections.close_all()
        if caught.error is not None and tells:
            events.emit("request_counts.not_stored", level=logging.WARNING, error=caught.error)
        return caught.error is None


request_counts = RequestCounts()
