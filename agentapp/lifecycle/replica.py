"""Reads that may be a little old come from a replica of Postgres, where there is one that keeps up.

Within such a read the connection of this thread is one with the replica: whatever is asked goes there, by the ORM or
not. Moves, and what shows to somebody what he has just done, never do.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections

from agentapp import conf
from agentapp.lifecycle import database
from agentapp.models import DispatcherLease
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault

T = TypeVar("T")

ALIAS = "replica"
LOOK_EVERY_S = 2.0
# The request that looks for one that is away may wait for it.
LOOK_AGAIN_S = 15.0


class Watch:
    """What this process knows of the replica. Threads may look at the same time; none waits for another."""

    def __init__(self) -> None:
        self._next_s = -math.inf
        self._is_used = False

    def is_used(self) -> bool:
        """Whether the replica answers and keeps up, as of a moment ago."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + LOOK_EVERY_S
            self.found(self._why_not())
        return self._is_used

    def found(self, why_not: str) -> None:
        """It is of no use for this reason, or of use where there is none."""
        if why_not:
            self._next_s = time.monotonic() + LOOK_AGAIN_S
        if self._is_used and why_not:
            events.emit("replica.left", level=logging.WARNING, why=why_not)
        elif not self._is_used and not why_not:
            events.emit("replica.used")
        self._is_used = not why_not

    def _why_not(self) -> str:
        """By the row that the leading dispatcher writes each second: both times are of the primary's clock. Without a
        dispatcher nobody can tell, also of a server that has become a primary by itself."""
        now = database.now()
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught, _in_place_of_the_primary():
            written_at = DispatcherLease.objects.values_list("renewed_at", flat=True).first()
        if caught.error is not None:
            return f"it does not answer: {caught.error}"
        late_s = math.inf if written_at is None else (now - written_at).total_seconds()
        return f"it is {late_s:.0f} s late" if late_s > conf.replica_lag_s() else ""


watch = Watch()


def read(query: Callable[[], T]) -> T:
    """Do a query that changes nothing, and return what it has read: rows, never a queryset that would be read later.

    Raises what the query raises. It is done again with the primary where the replica fails, or has not taken over a
    migration yet; where it has taken all the time that a statement may take, the next ones are done there.
    """
    if ALIAS not in connections.settings or connection.in_atomic_block or not watch.is_used():
        return query()
    with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT, missing=True) as caught, _in_place_of_the_primary():
        return query()
    watch.found(f"a query failed: {caught.error}")
    if caught.error is not None and faults.of(caught.error) is Fault.LIMIT:
        raise caught.error
    return query()


@contextmanager
def _in_place_of_the_primary() -> Iterator[None]:
    usual = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = connections[ALIAS]
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = usual
