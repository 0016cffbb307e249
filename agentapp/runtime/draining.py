"""The end of a worker process: bodies are told, running jobs are handed back, and the process is gone in time. [D6]

A thread cannot be ended from outside, and a pool waits for its threads. So what still runs when the time is over is
handed back to Postgres first, and the process ends without waiting: whatever it held in memory is in the rows.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from uuid import UUID

from agentapp import conf
from agentapp.dispatch import publisher
from agentapp.errors import DatabaseBusy, LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.hand_back import hand_back
from agentapp.lifecycle.opened import Claimed, Settled
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime.heartbeat import Held, heartbeat
from agentapp.runtime.process import this
from agentapp.runtime.usage import AttemptUsage

LOOK_EVERY_S = 0.1
# After the drain: a send that has begun may still end, a parent waits for its children, a settled step is published.
LAST_WORDS_S = 3.0
LEAST_LAST_WORDS_S = 0.3
# For all hand-backs together, for the lock of one task, and how many are made at once.
HAND_BACKS_S = 1.5
LOCK_WAIT_S = 0.3
HAND_BACK_THREADS = 4

# Re-entrant, because a second signal may come in the middle of the first.
_begun = threading.RLock()
_began_in = 0


def begin(*, alone: bool = False, exit_code: int = 0) -> None:
    """Begin nothing new in this process, nor unless `alone` in its children, and see to it that it ends.

    Called twice, it begins once. `exit_code` tells a supervisor whether that was wanted.
    """
    global _began_in
    with _begun:
        if _began_in == os.getpid():
            return
        _began_in = os.getpid()
    if alone:
        this.drain_alone()
    else:
        this.draining = True
    threading.Thread(target=_drain, args=(exit_code,), name="drain", daemon=True).start()


def end_process() -> None:
    """End this worker from within: a pool of threads as SIGTERM does, a pool's child by itself."""
    if this.prefork:
        # Its parent puts a new one in its place; the job has been settled already.
        sys.stderr.flush()
        os._exit(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _drain(exit_code: int) -> None:
    over_s = this.draining_since_s + conf.drain_s()
    while time.monotonic() < over_s:
        time.sleep(LOOK_EVERY_S)
    hand_back_all([held for held in heartbeat.held() if not held.in_effect], until_s=over_s + HAND_BACKS_S)
    time.sleep(LEAST_LAST_WORDS_S)
    while time.monotonic() < over_s + LAST_WORDS_S and (heartbeat.is_busy() or not heartbeat.beats()):
        time.sleep(LOOK_EVERY_S)
    left = [str(held.job.id) for held in heartbeat.held()]
    events.emit("worker.ends", level=logging.WARNING, worker=this.actor, jobs=left)
    sys.stderr.flush()
    os._exit(exit_code)


def give_up(job: Claimed, usage: AttemptUsage) -> Settled:
    """Hand a job back because this worker ends. Raises LostLease, Unavailable, DatabaseBusy."""
    settled = hand_back(job, worker=this.actor, reason="the worker ends", usage=usage.as_json())
    events.emit("job.handed_back", job=job.id, type=job.type, workflow=job.workflow_id)
    return settled


def hand_back_all(jobs: list[Held], *, until_s: float) -> None:
    """Hand running jobs back, several at a time. What is not done by then is left behind: its lease runs out."""
    left, locked = list(jobs), set[UUID]()
    threads = [
        threading.Thread(target=_hand_back_from, args=(left, locked), name="hand back", daemon=True)
        for _ in range(min(HAND_BACK_THREADS, len(left)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))


def _hand_back_from(left: list[Held], locked: set[UUID]) -> None:
    """Over a session of its own: those of the pool may all be in use by what is handed back. Publishing comes last,
    because the broker may hang too."""
    opened = []
    with (
        faults.caught(Fault.OUTAGE, Fault.LIMIT) as caught,
        database.own_session(lock_timeout_s=LOCK_WAIT_S, statement_timeout_s=HAND_BACKS_S),
    ):
        while (held := left.pop() if left else None) is not None:
            if held.job.workflow_id not in locked and (settled := _handed_back(held, locked)) is not None:
                opened.append(settled.opened)
    if caught.error is not None:
        events.emit("postgres.unavailable", level=logging.WARNING, error=caught.error)
    for each in opened:
        publisher.publish(each)


def _handed_back(held: Held, locked: set[UUID]) -> Settled | None:
    try:
        settled = give_up(held.job, held.usage)
    except (LostLease, DatabaseBusy) as error:
        # It has just ended by itself; or somebody holds its task, and other tasks must not wait for that.
        if isinstance(error, DatabaseBusy):
            locked.add(held.job.workflow_id)
        events.emit("job.lost_lease", level=logging.WARNING, job=held.job.id, type=held.job.type, error=error)
        return None
    held.gone = "available"
    return settled
