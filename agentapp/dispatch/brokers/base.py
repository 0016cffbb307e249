"""What all brokers have in common, and what each of them declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kombu.common import maybe_declare

# A broker on the same network answers within a few milliseconds; nobody waits longer for a short request.
ANSWER_S = 0.5
# Where a broker that shows that it takes messages is sent one; nobody reads it.
PROBE = "agentapp.probe"


class Sees(Enum):
    """What can be seen of the messages that wait: by that it is told which are lost."""

    OLDEST = "the oldest messages"
    """Of each queue and priority: a message that should have left before them is lost."""
    COUNT = "their number"
    """Of each queue: where none is left, what nobody has claimed is lost. Otherwise its age decides."""
    NOTHING = "nothing"
    """Age alone decides."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a broker can do. The platform reads these and never the name of a broker.

    `order`: in which order messages of one priority are delivered, in words. `longest_delay_s`: how long the broker
    could hold a message back by itself; nothing relies on it, because rows say when a job is due. `tells_of_loss`: a
    note beside the queues is lost with them. `remote_control`: it reaches all workers at once, so `celery inspect`,
    `celery control`, task events and Flower work. `acknowledges_late`: a message is acknowledged when its job has
    ended, because only what is not acknowledged counts as held by a worker. `notifies`: previews and wakes of streams
    go through it. `extra` and `modules`: what must be installed beside it.
    """

    name: str
    sees: Sees
    keeps_priorities: bool
    order: str
    longest_delay_s: int
    tells_of_loss: bool = False
    remote_control: bool = False
    acknowledges_late: bool = False
    notifies: bool = False
    extra: str = ""
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Waiting:
    """The messages of one queue and priority: how many at least, and the jobs of the oldest.

    `is_known` is False where a message of the queue may be that of any job.
    """

    count: int
    oldest: tuple[str, ...] = ()
    is_known: bool = True


# There may be messages, and nobody can tell whose.
UNSEEN = Waiting(1, is_known=False)


class Broker:
    """One kind of broker. A `channel` is kombu's, of the transport that is named here.

    What asks the broker raises the errors of its driver; dispatch/broker_pool.py makes ConnectionError of them.
    """

    capabilities: Capabilities
    # Which class of kombu's speaks to it, by the scheme of the address that kombu gets.
    transports: Mapping[str, str] = {}

    def short_options(self, url: str) -> dict[str, Any]:
        """Return options of the transport for connections on which nobody may wait long."""
        return {}

    def settings(self, url: str) -> dict[str, Any]:
        """Return Celery's settings for a broker at this address, laid over those of all brokers."""
        raise NotImplementedError

    def exchange(self, queue: str) -> str:
        """Return the exchange for messages of a queue. The nameless one, which all share, knows every queue."""
        return ""

    def declare(self, channel: Any, queue: Any) -> None:
        """Declare a queue of kombu's before messages go there: AMQP would drop them silently."""
        maybe_declare(queue, channel)

    def waiting(self, channel: Any, queue: str, priority: int) -> Waiting:
        """Look at the messages of a queue and broker priority, as far as they can be seen."""
        return UNSEEN

    def note(self, channel: Any, text: str) -> None:
        """Leave a note that is lost when the queues are; only where `tells_of_loss`."""
        raise NotImplementedError

    def noted(self, channel: Any) -> bytes | None:
        """Return the note, or None when it is not there (any more)."""
        raise NotImplementedError

    def probe(self, channel: Any) -> None:
        """Let the broker show that it takes messages."""
        raise NotImplementedError

    def purge(self, channel: Any, queues: Collection[str]) -> int:
        """Throw away what waits in these queues, as a broker does that loses its data, and return how many.

        A queue that is not there holds nothing.
        """
        return sum(int(channel.queue_purge(queue) or 0) for queue in queues)
