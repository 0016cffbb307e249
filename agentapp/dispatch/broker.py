"""What the broker can tell about its queues, and whether it has lost them."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass

from agentapp.dispatch.broker_pool import pool
from agentapp.dispatch.receiving import UNREADABLE
from agentapp.policies import bounds

SENTINEL = "agentapp:sentinel"
# So many entries at the end that is read next: one of them will be of a job that still waits.
LOOKED_AT = 8


@dataclass(frozen=True)
class Waiting:
    """The messages of one queue and priority: how many at least, and the jobs of the oldest."""

    count: int
    oldest: tuple[str, ...]


def waiting(queue: str, priority: int) -> Waiting:
    """Look into the list of a queue's broker priority.

    Raises:
        ConnectionError: the broker does not answer.
    """
    with pool.channel() as channel, channel.conn_or_acquire() as client:
        entries = client.lrange(channel._q_for_pri(queue, priority), -LOOKED_AT, -1)
    return Waiting(len(entries), tuple(job for job in map(_job_id, entries) if job))


def sentinel() -> float | None:
    """Return what was last noted in the broker, or None when it is not there (any more).

    Raises:
        ConnectionError: the broker does not answer.
    """
    with pool.channel() as channel, channel.conn_or_acquire() as client:
        note = client.get(SENTINEL)
    # What somebody else wrote into it is as good as gone.
    return bounds.number(note.decode(errors="replace") if isinstance(note, bytes) else note, most=math.inf)


def note(moment_s: float) -> None:
    """Leave a note beside the queues: it is lost when they are. Raises ConnectionError."""
    with pool.channel() as channel, channel.conn_or_acquire() as client:
        client.set(SENTINEL, repr(moment_s))


def _job_id(entry: bytes) -> str | None:
    """Read the job of a message as it lies in its list; None for what is no message of ours."""
    try:
        envelope = json.loads(entry)
        return str(json.loads(base64.b64decode(envelope["body"]))[0][0])
    except UNREADABLE:
        return None
