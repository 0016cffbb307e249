"""An attempt in values: how its body ended, what became of that, and what follows.

The unions are closed. Who adds to one is told by mypy where it is matched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agentapp import errors
from agentapp.lifecycle.opened import Claimed, Opened, Settled
from agentapp.policies import faults
from agentapp.policies.faults import Fault


@dataclass(frozen=True)
class Completed:
    output: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """The retry policy decides."""

    error: BaseException


@dataclass(frozen=True)
class MustWait:
    """A store of ours was away for longer than the body waited, or another job sends its effect: no attempt is lost."""

    error: BaseException


@dataclass(frozen=True)
class ContentChanged:
    """What would be sent is not what was approved."""

    error: errors.ContentChanged


@dataclass(frozen=True)
class Asks:
    """The body asks a person."""

    error: errors.AsksPerson


@dataclass(frozen=True)
class HandedBack:
    """The worker ends, and the body stopped at a checkpoint."""


@dataclass(frozen=True)
class Gone:
    """The job is no longer this attempt's. Only the rows tell for certain whether it was cancelled."""

    error: errors.LostLease | errors.Cancelled


# Those of an attempt that still owns its job, as far as it knows.
Owned = Completed | Failed | MustWait | ContentChanged | Asks | HandedBack
Outcome = Owned | Gone


def of(error: BaseException) -> Outcome:
    """The outcome of a body that raised `error`."""
    if isinstance(error, errors.LostLease | errors.Cancelled):
        return Gone(error)
    if isinstance(error, errors.HandedBack):
        return HandedBack()
    if isinstance(error, errors.ContentChanged):
        return ContentChanged(error)
    if isinstance(error, errors.AsksPerson):
        return Asks(error)
    return MustWait(error) if faults.of(error) is Fault.OUTAGE else Failed(error)


class End(StrEnum):
    """What became of an attempt, in the words that Flower shows."""

    COMPLETED = "completed"
    RETRYABLE = "retryable"
    DEAD_LETTERED = "dead lettered"
    STORE_AWAY = "waits: a store was away"
    BEING_SENT = "waits: its effect is being sent"
    DAY_USED_UP = "waits: the budget of its tenant's day is used up"
    TASK_IS_OPEN = "waits: the task that it runs is open"
    RECEIVER_BUSY = "waits: its receiver has enough requests"
    ASKING = "waits: a person is asked"
    REOPENED = "approval opened again"
    HANDED_BACK = "handed back"
    CANCELLED = "cancelled"
    LOST_LEASE = "lost lease"
    NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Publish:
    """Nothing runs in place. What was opened is to be published; mostly that is nothing."""

    opened: Opened = field(default_factory=Opened)
    is_awaited: bool = False


@dataclass(frozen=True)
class Continue:
    """This worker goes on with the next job, which the settle has claimed for it."""

    job: Claimed
    is_awaited: bool = False


@dataclass(frozen=True)
class ClaimNext:
    """This worker claims the next job itself, behind its gates, once this attempt is over."""

    job_id: str
    is_awaited: bool = False


# `is_awaited`: other jobs wait for what this one held at a gate.
Follows = Publish | Continue | ClaimNext


def follows(settled: Settled) -> Follows:
    if settled.taken is not None:
        return Continue(settled.taken, settled.is_awaited)
    if settled.opened.follows:
        return ClaimNext(settled.opened.jobs[0].id, settled.is_awaited)
    return Publish(settled.opened, settled.is_awaited)
