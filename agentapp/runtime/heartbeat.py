"""One thread per process renews the leases of all jobs that run in it, and tells them what they must know."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psycopg

from agentapp import conf
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.postgresql import liveness
from agentapp.lifecycle.renew import beat, hold_lock
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime.counters import counters
from agentapp.runtime.process import this
from agentapp.runtime.usage import AttemptUsage
from agentapp.runtime.watchdog import Watchdog

# How long after its timeout a body may still come back by itself: its own calls end at the timeout too.
OVERRUN_GRACE_S = 2.0
# How long a process that ends waits for its last beat.
LAST_BEAT_S = 1.0
AFTER_ERROR_S = 0.2


@dataclass
class Held:
    """A job that runs in this process. `gone` is its state when it is no longer this process's.

    `has_returned`: its body is over, and what came of it is being recorded, however long that takes.
    """

    job: Claimed
    usage: AttemptUsage
    deadline_s: float
    gone: str = ""
    in_effect: bool = False
    overrun: bool = False
    has_returned: bool = False


class Heartbeat:
    """Holds the jobs of this process. A body past its timeout is reported and its job no longer renewed.

    The thread has a direct connection of its own: a pool that is busy must not cost a lease. In its session it holds an
    advisory lock, whose number is the process's key: when that is free, the dispatcher knows early that it has died.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._held: dict[UUID, Held] = {}
        self._thread: threading.Thread | None = None
        self._watchdog = Watchdog()
        self._key = random.getrandbits(62) | 1
        self._session: psycopg.Connection | None = None
        self._is_locked = False
        # As of the last beat; a settle need not ask whom it makes room for where nobody waits.
        self.somebody_waits = True

    def start(self, *, on_overrun: Callable[[Held], None], on_drain: Callable[[], None]) -> None:
        """Begin to beat; a forked child begins again, with a key of its own.

        `on_overrun` hears of a body that did not come back within its timeout, `on_drain` of a parent that ends.
        """
        if self._pid != os.getpid():
            self._reset()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(on_overrun,), name="heartbeat", daemon=True)
                self._thread.start()
                on_look = partial(_look_for_drain, on_drain)
                threading.Thread(target=self._watchdog.run, args=(on_look,), name="watchdog", daemon=True).start()

    def key(self) -> int | None:
        """The advisory lock that this process holds now, or None while it holds none."""
        return self._key if self._is_locked and self._pid == os.getpid() else None

    def hold(self, job: Claimed, usage: AttemptUsage) -> Held:
        """Renew this job's lease from now on, until its timeout; outside of a worker nothing beats."""
        held = Held(job, usage, time.monotonic() + job.timeout_s)
        with self._lock:
            self._held[job.id] = held
        return held

    def let_go(self, held: Held) -> None:
        with self._lock:
            if self._held.get(held.job.id) is held:
                del self._held[held.job.id]

    def held(self) -> list[Held]:
        """The jobs that run in this process now."""
        with self._lock:
            return list(self._held.values())

    def is_busy(self) -> bool:
        """Whether a job that is still this process's runs in it."""
        return any(not item.gone for item in self.held())

    def beats(self) -> bool:
        """Whether bodies run in this process; not so in the parent of a prefork pool."""
        return self._thread is not None and self._pid == os.getpid()

    def beat_last(self) -> None:
        """Beat once more, for a process that ends before its next beat: without that it looks like one that has died.
        By a thread, because Postgres may not answer.
        """
        if self.beats():
            last = threading.Thread(target=self._beat_last, name="last beat", daemon=True)
            last.start()
            last.join(LAST_BEAT_S)

    def _beat_last(self) -> None:
        with faults.caught(*Fault) as caught:
            if self._session is not None:
                self._beat(is_last=True)
        if caught.error is not None:
            events.emit("heartbeat.failed", level=logging.WARNING, error=caught.error)

    def _run(self, on_overrun: Callable[[Held], None]) -> None:
        while True:
            # Whatever it was: a process whose heartbeat has ended loses all of its jobs.
            with faults.caught(*Fault) as caught:
                with self._watchdog.network():
                    self._beat()
                self._look_for_overruns(on_overrun)
            if caught.error is not None:
                events.emit("heartbeat.failed", level=logging.WARNING, error=caught.error)
                self._hang_up()
            self._rest()

    def _rest(self) -> None:
        """Sleep until the next beat. The end of the session, and of the lock in it, is noticed at once: a dispatcher
        that finds the lock free twice takes this process for dead."""
        if self._session is None:
            time.sleep(AFTER_ERROR_S)
        else:
            liveness.is_readable(self._session, within_s=conf.heartbeat_s())

    def _beat(self, *, is_last: bool = False) -> None:
        if self._session is None:
            self._session = database.session()
        self._is_locked = self._is_locked or hold_lock(self._session, self._key)
        held = {item.job.id: item for item in self.held() if not item.gone}
        leases = {job: item.job.token for job, item in held.items()}
        gone, self.somebody_waits = beat(
            self._session, leases, process=self._key, name=this.actor, pool="prefork" if this.prefork else "threads",
            queues=this.queues, lease_s=conf.lease_s(), draining=this.draining or is_last,
            slots=this.slots, counts=counters.counts(),
        )  # fmt: skip
        for job, state in gone.items():
            held[job].gone = state

    def _look_for_overruns(self, on_overrun: Callable[[Held], None]) -> None:
        late_s = time.monotonic() - OVERRUN_GRACE_S
        for item in self.held():
            if item.deadline_s < late_s and not item.overrun and not item.has_returned:
                item.overrun = True
                # By itself, because it waits for Postgres and the other leases must be renewed meanwhile.
                threading.Thread(target=on_overrun, args=(item,), name="overrun", daemon=True).start()

    def _hang_up(self) -> None:
        self._is_locked = False
        if self._session is not None:
            self._session.close()
        self._session = None


def _look_for_drain(on_drain: Callable[[], None]) -> None:
    """By the watchdog's thread: the heartbeat's own may wait for a Postgres that does not answer."""
    if this.draining:
        on_drain()


heartbeat = Heartbeat()
