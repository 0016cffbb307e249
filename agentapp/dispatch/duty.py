"""One duty of the dispatcher: a thread, a database connection, a rhythm and a time limit of its own."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections

from agentapp.dispatch import round as rounds
from agentapp.dispatch.interrupt import interrupt
from agentapp.dispatch.leader import Leader
from agentapp.lifecycle import database
from agentapp.observability import events

Step = Callable[[], int]

# Between two looks of a duty that is awake. What is freed meanwhile is admitted together.
BREATH_S = 0.02
LEAST_BREATH_S = 0.002
# A duty that was called, or that moved something, looks again and again for so long; see waking.QUIET_S.
AWAKE_S = 1.0
# A look at a long backlog takes longer, and so does the rest after it: a third of the time is spent looking.
REST_TIMES = 2
# A round takes no new item after this share of its limit, so that it ends by itself.
SOFT_SHARE = 0.5
# A row that somebody else holds is passed over after so long.
LOCK_S = 0.1


@dataclass
class Duty:
    """`steps` are done in order, each whatever became of the one before.

    `every_s` apart, or at once when the duty is `called`; a duty that stays awake goes on at short intervals while
    something moves. `next_s` tells after how many seconds something else becomes possible. A round that takes longer
    than `limit_s` is reported, and its database connection is interrupted.
    """

    name: str
    steps: tuple[Step, ...]
    every_s: Callable[[], float]
    limit_s: float = 10.0
    stays_awake: bool = False
    next_s: Callable[[], float | None] = lambda: None
    on_outage: Callable[[], None] = lambda: None
    # What is told about it.
    rounds: int = 0
    ended_s: float = field(default_factory=time.monotonic)
    took_s: float = 0.0
    error: str = ""
    overruns: int = 0
    # When the round began that is under way, on the monotonic clock.
    began_s: float | None = None
    _interrupted: int = 0
    _connection: Any = None
    _called: threading.Event = field(default_factory=threading.Event)
    _awake_until_s: float = 0.0

    def call(self) -> None:
        """Look now, not at the next tick."""
        self._called.set()

    def run(self, leader: Leader, stop: threading.Event) -> None:
        """Do rounds while this process leads, until `stop`. The loop of the duty's thread."""
        while not stop.is_set():
            if not leader.leads():
                # A dispatcher that waits holds no connection but that of its leader.
                connection.close()
                leader.wait_for_lead(stop)
                continue
            moved = self.round(leader.leads)
            if moved:
                self._awake_until_s = time.monotonic() + AWAKE_S
            if self._called.wait(self._rest_s()):
                self._called.clear()
                self._awake_until_s = time.monotonic() + AWAKE_S
        connection.close()

    def round(self, leads: Callable[[], bool]) -> int:
        """Do all steps once and return how much moved."""
        # The connection of this thread, for the thread that looks after it.
        self._connection, self._interrupted = connections[DEFAULT_DB_ALIAS], 0
        self.began_s = time.monotonic()
        failed = ""
        moved = 0
        with rounds.begin(leads, within_s=self.limit_s * SOFT_SHARE), database.waits_for_locks(within_s=LOCK_S):
            for step in self.steps:
                try:
                    moved += step()
                except Exception as error:  # noqa: BLE001 - keep looping
                    failed = self._failed(error)
        self.ended_s = time.monotonic()
        self.took_s = self.ended_s - self.began_s
        self.began_s = None
        self.error = failed
        self.rounds += 1
        return moved

    def _failed(self, error: Exception) -> str:
        if database.is_away(error):
            events.emit("dispatcher.failed", level=logging.WARNING, duty=self.name, error=error)
            self.on_outage()
        elif database.is_locked(error):
            # Somebody has locked a whole table: the next round tries it again.
            events.emit("dispatcher.failed", level=logging.WARNING, duty=self.name, error=error)
        else:
            trace = "".join(traceback.format_exception(error))
            events.emit("dispatcher.failed", level=logging.ERROR, duty=self.name, error=trace)
        connection.close()
        return f"{type(error).__name__}: {error}"[:300]

    def _rest_s(self) -> float:
        rest_s = self.every_s()
        if self.stays_awake and time.monotonic() < self._awake_until_s:
            rest_s = min(rest_s, max(BREATH_S, REST_TIMES * self.took_s))
        next_s = self.next_s()
        return rest_s if next_s is None else min(rest_s, max(next_s, LEAST_BREATH_S))

    def late_s(self) -> float:
        """For how long the round that is under way has been over its limit; 0 while it is not."""
        began_s = self.began_s
        return 0.0 if began_s is None else max(0.0, time.monotonic() - began_s - self.limit_s)

    def look_after(self) -> None:
        """Report a round that is over its limit and interrupt its connection: first its statement, then itself.

        Called by another thread, again and again.
        """
        if self.late_s() > self._interrupted * self.limit_s:
            self.overruns += 1
            events.emit("duty.overran", level=logging.ERROR, duty=self.name, limit_s=self.limit_s)
            interrupt(self._connection.connection, drop=self._interrupted > 0)
            self._interrupted += 1

    def report(self) -> dict[str, Any]:
        """How it goes, as the row of the leader keeps it: for how long its round has been running, or how long ago the
        last one ended."""
        began_s, now_s = self.began_s, time.monotonic()
        told: dict[str, Any] = {
            "took_s": round(self.took_s, 3), "error": self.error, "overruns": self.overruns, "limit_s": self.limit_s,
            "every_s": round(self.every_s(), 3), "idle_s": round(now_s - self.ended_s, 1),
        }  # fmt: skip
        if began_s is not None:
            told["running_s"] = round(now_s - began_s, 1)
        return {name: value for name, value in told.items() if value or name == "running_s"}
