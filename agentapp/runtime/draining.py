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

from agentapp import conf
from agentapp.dispatch import publisher
from agentapp.errors import LostLease, Unavailable
from agentapp.lifecycle.hand_back import hand_back
from agentapp.lifecycle.opened import Claimed, Settled
from agentapp.observability import events
from agentapp.runtime.heartbeat import Held, heartbeat
from agentapp.runtime.process import this
from agentapp.runtime.usage import AttemptUsage

LOOK_EVERY_S = 0.1
# After the drain: a send that has begun may still end, a parent waits for its children, a settled step is published.
LAST_WORDS_S = 3.0
LEAST_LAST_WORDS_S = 0.3

# Re-entrant, because a second signal may come in the middle of the first.
_begun = threading.RLock()
_began_in = 0


def begin(*, alone: bool = False) -> None:
    """Begin nothing new in this process, nor unless `alone` in its children, and see to it that it ends.

    Called twice, it begins once.
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
    threading.Thread(target=_drain, name="drain", daemon=True).start()


def end_process() -> None:
    """End this worker from within: a pool of threads as SIGTERM does, a pool's child by itself."""
    if this.prefork:
        # Its parent puts a new one in its place; the job has been settled already.
        sys.stderr.flush()
        os._exit(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _drain() -> None:
    over_s = this.draining_since_s + conf.drain_s()
    while time.monotonic() < over_s:
        time.sleep(LOOK_EVERY_S)
    for held in heartbeat.held():
        if not held.in_effect:
            give_back(held)
    time.sleep(LEAST_LAST_WORDS_S)
    while time.monotonic() < over_s + LAST_WORDS_S and (heartbeat.is_busy() or not heartbeat.beats()):
        time.sleep(LOOK_EVERY_S)
    left = [str(held.job.id) for held in heartbeat.held()]
    events.emit("worker.ends", level=logging.WARNING, worker=this.actor, jobs=left)
    sys.stderr.flush()
    os._exit(0)


def give_up(job: Claimed, usage: AttemptUsage) -> Settled:
    """Hand a job back because this worker ends. Raises LostLease, Unavailable."""
    settled = hand_back(job, worker=this.actor, reason="the worker ends", usage=usage.as_json())
    events.emit("job.handed_back", job=job.id, type=job.type, workflow=job.workflow_id)
    return settled


def give_back(held: Held) -> None:
    """Hand one running job back, and publish it for another worker."""
    try:
        settled = give_up(held.job, held.usage)
    except (LostLease, Unavailable) as error:
        # It has just ended by itself; or nobody can be told, and the lease runs out.
        events.emit("job.lost_lease", level=logging.WARNING, job=held.job.id, type=held.job.type, error=error)
        return
    held.gone = "available"
    publisher.publish(settled.opened)


heartbeat.on_drain = begin
