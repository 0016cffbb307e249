"""What admission is decided on, and what it decides: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentapp.policies import priority as priority_words


@dataclass(frozen=True, slots=True)
class Head:
    """A job of one of the oldest tasks in a lane, of those that no draining key keeps back. `age_s` since it became
    available; `task` is the id of its task: those of older tasks sort before those of younger ones."""

    age_s: float
    model: str = ""
    tool: str = ""
    task: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """Jobs that wait in one queue, of one tenant, priority and job type.

    `heads` are those of its oldest tasks, the oldest first; `has_more`: there are others behind them.
    """

    queue: str
    tenant: int
    priority: int
    type: str
    heads: tuple[Head, ...]
    has_more: bool = False

    @property
    def level(self) -> int:
        """Its priority among those that there are: a row with another one must not stop all decisions."""
        return priority_words.known(self.priority)


@dataclass(frozen=True, slots=True)
class Busy:
    """What runs, and what is published and not claimed yet, of one kind."""

    queue: str
    tenant: int
    type: str
    model: str = ""
    tool: str = ""
    running: int = 0
    published: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """What a key is held to now; None is no limit. `*_ahead_s` are meters as in policies.pace."""

    key: str
    concurrency: int | None = None
    reserved: int = 0
    request_s: float | None = None
    request_burst: int = 1
    request_ahead_s: float = 0.0
    token_s: float | None = None
    token_burst: int = 1
    token_ahead_s: float = 0.0
    tokens_each: int = 0
    mode: str = "open"
    breaker: str = "closed"
    closed_s: float = 0.0
    holds: bool = False
    runway: int | None = None
    per_s: float = 0.0


@dataclass(frozen=True)
class Backlog:
    """What admission is decided on. `served` are the queues of each kind of worker; `weights` by tenant where they are
    not 1; `parked` are kinds of jobs that a gate sent back and that are not due yet."""

    lanes: Sequence[Lane]
    busy: Sequence[Busy] = ()
    limits: Sequence[Limit] = ()
    served: Sequence[Sequence[str]] = ()
    weights: Mapping[int, float] = field(default_factory=dict)
    parked: Sequence[Busy] = ()


@dataclass(frozen=True)
class Turns:
    """What one decision leaves to the next, by the queues that the same workers serve: how much each (queues, priority,
    tenant) has got for its weight, and how far each (queues, priority) is with that; how many choices there were, and,
    as `queues/line`, those since the last turn of who is overdue; which begins; and, where somebody stayed behind
    because the broker held enough, how many messages that were."""

    got: Mapping[tuple[str, int, int], float] = field(default_factory=dict)
    now: Mapping[tuple[str, int], float] = field(default_factory=dict)
    choices: Mapping[str, int] = field(default_factory=dict)
    first: int = 0
    filled: Mapping[tuple[str, ...], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Admitted:
    """The `count` oldest of a lane, published with this priority."""

    lane: Lane
    count: int
    priority: int


@dataclass(frozen=True)
class Decision:
    """`runways` by queue; `holds` says of keys whether somebody waits for them; `next_s`: when a meter or a closed key
    lets the next one pass, in seconds, or None."""

    admitted: tuple[Admitted, ...]
    holds: Mapping[str, bool]
    runways: Mapping[str, int]
    turns: Turns
    next_s: float | None


# Sending a webhook is work of the platform's: it takes nothing of what its tenant may use.
WEBHOOKS = "webhooks"


def keys(queue: str, tenant: int, type: str, model: str, tool: str) -> tuple[str, ...]:
    """Return the keys that such a job is held to, as Postgres names them."""
    return (
        "global", f"job_type:{type}", f"queue:{queue}", *((f"tenant:{tenant}",) if queue != WEBHOOKS else ()),
        *((f"model:{model}", f"budget:{tenant}") if model else ()), *((f"tool:{tool}",) if tool else ()),
    )  # fmt: skip
