"""One of many dispatchers leads: the one that renews the lease row under its epoch.

A row, not a lock of a session: a leader that is frozen, or whose host is gone, keeps a lock for as long as Postgres
believes in its connection, and a connection pooler has no sessions at all. A leader that was frozen finds on its own
clock that its lease is over, before it asks anybody.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import psycopg

from agentapp.dispatch.steadiness import Steadiness
from agentapp.lifecycle import database, leadership
from agentapp.observability import events

LEASE_S = 4.0
RENEW_EVERY_S = 1.0
# The lease ends here a little earlier than in Postgres.
MARGIN_S = 0.5


class Leader:
    """Renews the lease over a connection of its own. `leads` is asked by other threads, and asks nobody."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.epoch: int | None = None
        self.session: psycopg.Connection | None = None
        # Those that wait for the lead ask too: the one that takes it knows how Postgres has answered until then.
        self.steadiness = Steadiness()
        self._until_s = 0.0
        self._asked_s: float | None = None
        self._led = threading.Event()

    def leads(self) -> bool:
        """Tell whether this process leads now, by its own clock."""
        return time.monotonic() < self._until_s

    def asks_for_s(self) -> float:
        """For how long the question that is under way has gone unanswered; 0 where none is."""
        asked_s = self._asked_s
        return 0.0 if asked_s is None else time.monotonic() - asked_s

    def wait_for_lead(self, stop: threading.Event) -> None:
        """Sleep until this process takes the lead, or for a moment."""
        # Left from before where the lease has run out meanwhile, as in an outage.
        self._led.clear()
        if not (stop.is_set() or self.leads()):
            self._led.wait(0.5)

    def renew(self, report: Mapping[str, Any] | None = None) -> bool:
        """Take the lead if nobody has it, or keep it, and write down how the duties go; tell whether it leads.

        Raises:
            OSError: Postgres does not answer.
        """
        self._asked_s = asked_s = time.monotonic()
        try:
            if self.session is None or self.session.closed:
                self.session = database.session()
            epoch = leadership.lead(
                self.session, holder=self.holder, epoch=self.epoch, lease_s=LEASE_S, report=report or {}
            )
        except psycopg.Error as error:
            self._hang_up()
            raise ConnectionError(f"Postgres does not answer: {error}") from error
        finally:
            self._asked_s = None
        self.steadiness.answered()
        if epoch is not None and epoch != self.epoch:
            events.emit("dispatcher.leads", holder=self.holder, epoch=epoch)
        elif epoch is None and self.epoch is not None:
            events.emit("dispatcher.deposed", holder=self.holder, epoch=self.epoch)
        self._until_s = 0.0 if epoch is None else asked_s + LEASE_S - MARGIN_S
        self.epoch = epoch
        if epoch is not None:
            self._led.set()
        return self.leads()

    def resign(self) -> None:
        """Let somebody else lead at once, where Postgres can be told; otherwise the lease runs out."""
        self._until_s = 0.0
        try:
            if self.session is not None and self.epoch is not None:
                leadership.resign(self.session, holder=self.holder, epoch=self.epoch)
        except psycopg.Error:
            # The lease runs out by itself.
            return
        finally:
            self.epoch = None
            self._hang_up()

    def _hang_up(self) -> None:
        if self.session is not None:
            self.session.close()
        self.session = None
