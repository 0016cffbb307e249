"""Waiting for a store of ours that does not answer."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection

from agentapp.errors import DatabaseBusy, TransientError, Unavailable
from agentapp.lifecycle import database
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime.process import this

T = TypeVar("T")

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
# A Postgres that answers, and cannot: about ten seconds beside what each try takes.
BUSY_TRIES = 8
# A body that waits keeps so much of its time to say that it could not go on.
KEPT_S = 1.0


def patiently(move: Callable[[], T]) -> T:
    """Make a move, again and again while Postgres is away. Settling twice is safe: the token tells.

    Raises:
        Unavailable: the worker drains, so the lease will run out and another worker takes the job; or this is a
            transaction, which is over with its session.
        DatabaseBusy: Postgres answers and could not do it, several times.
    """
    busy = 0
    for wait_s in _waits():
        try:
            return move()
        except Unavailable as error:
            if _gives_up():
                raise
            events.emit("postgres.unavailable", level=logging.WARNING, error=error)
        except DatabaseBusy as error:
            busy += 1
            if _gives_up() or busy == BUSY_TRIES:
                raise
            events.emit("postgres.busy", level=logging.WARNING, error=error)
        time.sleep(wait_s)
    raise AssertionError("unreachable")


def _gives_up() -> bool:
    return this.draining or connection.in_atomic_block


def _waits() -> Iterator[float]:
    wait_s = FIRST_WAIT_S
    while True:
        yield wait_s * (0.5 + random.random())  # noqa: S311 - jitter
        wait_s = min(LONGEST_WAIT_S, wait_s * 2)


class BodyPatience:
    """For what a body asks our stores for: it waits within the time of its job, and stops when it is cancelled."""

    def __init__(self, *, left_s: Callable[[], float], check: Callable[[], None]) -> None:
        self._left_s = left_s
        self._check = check

    def __call__(self, operation: Callable[[], T]) -> T:
        """Do it, again and again while a store is away; `operation` must bear to be done twice.

        Raises:
            Unavailable: it is away for longer than the job has time; the attempt will not count.
            Cancelled, LostLease: the job is no longer this attempt's.
        """
        for wait_s in _waits():
            with faults.caught(Fault.OUTAGE, Fault.CONTENTION) as caught:
                try:
                    return operation()
                finally:
                    # More bodies run than a pool has connections: one that goes on to think must not keep its own.
                    database.release()
            self._wait(caught.error, wait_s)
        raise AssertionError("unreachable")

    def _wait(self, error: Exception | None, wait_s: float) -> None:
        if error is None:
            return
        database.drop_sessions_after(error)
        events.emit("store.unavailable", level=logging.WARNING, error=error)
        if this.draining or self._left_s() < wait_s + KEPT_S:
            raise Unavailable(f"A store does not answer: {error}") from error
        time.sleep(wait_s)
        self._check()


@contextmanager
def storage() -> Iterator[None]:
    """Around the use of a store of files. Whatever it answers is about the store and no bug of the body's.

    Raises:
        Unavailable: it is full, or away.
        TransientError: it has not got the file, or does not let us.
    """
    try:
        with faults.caught(Fault.OUTAGE, Fault.LIMIT, Fault.REFUSED) as caught:
            yield
    except faults.FILE_BUGS as error:
        raise TransientError(f"The store of files refused: {error}") from error
    if caught.error is None:
        return
    if faults.of(caught.error) is Fault.REFUSED:
        raise TransientError(f"The store of files refused: {caught.error}") from caught.error
    raise Unavailable(f"The store of files does not answer: {caught.error}") from caught.error
