"""What the broker can tell about its queues, and whether it has lost them."""

from __future__ import annotations

import math
from collections.abc import Collection

from agentapp.dispatch.broker_pool import pool
from agentapp.dispatch.brokers import choice
from agentapp.dispatch.brokers.base import UNSEEN, Sees, Waiting
from agentapp.policies import bounds


def waiting(queue: str, priority: int) -> Waiting:
    """Look at the messages of a queue's broker priority, as far as this broker lets us.

    Raises:
        ConnectionError: the broker does not answer.
    """
    broker = choice.chosen()
    if broker.capabilities.sees is Sees.NOTHING:
        return UNSEEN
    with pool.channel() as channel:
        return broker.waiting(channel, queue, priority)


def tells_of_loss() -> bool:
    """Whether a note can be left that is lost with the queues."""
    return choice.chosen().capabilities.tells_of_loss


def sentinel() -> float | None:
    """Return what was last noted in the broker, or None when it is not there (any more).

    Raises:
        ConnectionError: the broker does not answer.
    """
    with pool.channel() as channel:
        note = choice.chosen().noted(channel)
    # What somebody else wrote into it is as good as gone.
    return bounds.number(note.decode(errors="replace") if isinstance(note, bytes) else note, most=math.inf)


def note(moment_s: float) -> None:
    """Leave a note beside the queues: it is lost when they are. Raises ConnectionError."""
    with pool.channel() as channel:
        choice.chosen().note(channel, repr(moment_s))


def probe() -> None:
    """Let the broker show that it takes messages. Raises ConnectionError."""
    with pool.channel(is_probe=True) as channel:
        choice.chosen().probe(channel)


def purge(queues: Collection[str]) -> int:
    """Throw away what waits in these queues, and return how many messages that were. Raises ConnectionError."""
    with pool.channel() as channel:
        return choice.chosen().purge(channel, queues)
