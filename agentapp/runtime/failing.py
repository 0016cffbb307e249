"""Records a body that failed, must wait or asks again, and one that did not come back."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from agentapp import registry
from agentapp.errors import (
    AsksPerson,
    BeingSent,
    ContentChanged,
    DatabaseBusy,
    DayUsedUp,
    EffectUnknown,
    LostLease,
    PermanentError,
    ReceiverBusy,
    TaskIsOpen,
    TimedOut,
    Unavailable,
)
from agentapp.lifecycle.ask_person import ask_person
from agentapp.lifecycle.decide import reopen
from agentapp.lifecycle.fail import dead_letter, retry_later
from agentapp.lifecycle.hand_back import wait
from agentapp.lifecycle.opened import Claimed, Opened, Settled
from agentapp.observability import events
from agentapp.policies import fingerprint, retry, storable
from agentapp.policies.classify import ErrorKind, classify, disbelief, retry_after_s
from agentapp.runtime import draining, effects
from agentapp.runtime.heartbeat import OVERRUN_GRACE_S, Held
from agentapp.runtime.outcome import End
from agentapp.runtime.patience import patiently
from agentapp.runtime.process import this
from agentapp.runtime.usage import AttemptUsage

TRACE_CHARACTERS = 8_000
# After a store was away for longer than a body could wait. Longer than it takes to find out that it still is.
AFTER_OUTAGE_S = 10.0
# A wait uses up no attempt, so one of none would never end.
SHORTEST_WAIT_S = 1.0
# What else a job may have to wait for; the error says for how long.
_WAITS: dict[type[Unavailable], End] = {
    BeingSent: End.BEING_SENT, ReceiverBusy: End.RECEIVER_BUSY, DayUsedUp: End.DAY_USED_UP,
    TaskIsOpen: End.TASK_IS_OPEN,
}  # fmt: skip


# Classes of errors, as they are stored, that are no failures.
WAITS = frozenset(error.__name__ for error in _WAITS)


def failed(job: Claimed, usage: AttemptUsage, error: BaseException) -> tuple[End, Settled]:
    """Record a failed attempt as the retry policy decides. Raises LostLease, DatabaseBusy, Unavailable."""
    decision = retry.decide(_policy(job), attempt=job.attempt, kind=classify(error), retry_after_s=retry_after_s(error))
    fields = _fields(job, error)
    if isinstance(decision, retry.RetryIn):
        seconds = retry.with_jitter(decision.seconds, fraction=random.random())  # noqa: S311 - jitter
        settled = _recorded(partial(retry_later, job, retry_in_s=seconds, worker=this.actor), job, usage, error)
        events.emit("job.retried", level=logging.WARNING, retry_in_s=round(seconds, 1), **fields)
        return End.RETRYABLE, settled
    settled = _recorded(partial(dead_letter, job, reason=decision.reason, worker=this.actor), job, usage, error)
    events.emit("job.dead_lettered", level=logging.ERROR, reason=decision.reason, **fields)
    return End.DEAD_LETTERED, settled


def reopened(job: Claimed, usage: AttemptUsage, error: ContentChanged) -> tuple[End, Settled]:
    """Ask again for an approval whose content has changed. Raises like `failed`."""
    effects.keep_answers(job, usage)
    patiently(
        lambda: reopen(
            job, error.approval_id, content=error.content, content_sha256=error.sha256, reason=storable.message(error),
            worker=this.actor,
        )
    )  # fmt: skip
    events.emit("job.reopened", level=logging.WARNING, **_fields(job, error))
    return End.REOPENED, Settled(Opened())


def asked(job: Claimed, usage: AttemptUsage, error: AsksPerson) -> tuple[End, Settled]:
    """Ask a person, and let the job wait. Raises like `failed`."""
    try:
        settled = patiently(lambda: ask_person(job, error.question, worker=this.actor, usage=usage.as_json()))
    except (LostLease, Unavailable, DatabaseBusy):
        raise
    except Exception as refused:  # noqa: BLE001 - what keeps a question from being asked is recorded
        return failed(job, usage, PermanentError(f"{job.type} cannot ask a person: {refused}"))
    events.emit("job.asks", **_fields(job, error))
    return End.ASKING, settled


def waits(job: Claimed, usage: AttemptUsage, error: BaseException) -> tuple[End, Settled]:
    """Give back a job that cannot go on now, without an attempt that counts. Raises like `failed`."""
    end = next((end for error_class, end in _WAITS.items() if isinstance(error, error_class)), End.STORE_AWAY)
    asked_s = None if end is End.STORE_AWAY else retry_after_s(error)
    wait_s = AFTER_OUTAGE_S if asked_s is None else max(SHORTEST_WAIT_S, asked_s)
    why = end.removeprefix("waits: ")
    seconds = retry.with_jitter(wait_s, fraction=random.random())  # noqa: S311 - jitter
    settled = _recorded(partial(wait, job, why=why, retry_in_s=seconds, worker=this.actor), job, usage, error)
    level = logging.INFO if end in (End.RECEIVER_BUSY, End.DAY_USED_UP, End.TASK_IS_OPEN) else logging.WARNING
    events.emit("job.waits", level=level, **_fields(job, error))
    return end, settled


def _fields(job: Claimed, error: BaseException) -> dict[str, Any]:
    return {
        "job": job.id, "type": job.type, "workflow": job.workflow_id, "attempt": job.attempt,
        "error": storable.message(error),
    }  # fmt: skip


def _policy(job: Claimed) -> retry.RetryPolicy:
    return registry.job_types[job.type].retry if job.type in registry.job_types else retry.RetryPolicy()


def _recorded(move: Callable[..., Settled], job: Claimed, usage: AttemptUsage, error: BaseException) -> Settled:
    """Make the move that ends a failed attempt, with its error in full, or else with the least of it.

    Raises:
        LostLease: the job is somebody else's.
        Unavailable, DatabaseBusy: it could not be recorded, so the lease runs out.
    """
    kind = classify(error)
    try:
        return patiently(lambda: move(error=_error_record(job.type, error, kind), usage=usage.as_json()))
    except (LostLease, Unavailable, DatabaseBusy):
        raise
    except Exception as refused:  # noqa: BLE001 - a failure that cannot be recorded must be recorded
        events.emit("job.recorded_in_part", level=logging.ERROR, job=job.id, type=job.type, error=refused)
    least = {
        "class": "Unrecordable", "kind": kind.value, "message": "It could not be recorded; see the log.",
        "fingerprint": fingerprint.of(job.type, "Unrecordable", ""), "trace": "",
    }  # fmt: skip
    return patiently(lambda: move(error=least, usage=usage.least()))


def _error_record(job_type: str, error: BaseException, kind: ErrorKind) -> dict[str, Any]:
    """An error as its attempt keeps it: class, kind, message, its fingerprint and the end of its trace."""
    trace = "".join(traceback.format_exception(error))
    name, message = storable.text(type(error).__name__, most=100), storable.message(error, note=disbelief(error))
    record = {
        "class": name, "kind": kind.value, "message": message,
        "fingerprint": fingerprint.of(job_type, name, message), "trace": storable.text(trace)[-TRACE_CHARACTERS:],
    }  # fmt: skip
    if isinstance(error, EffectUnknown | BeingSent) and error.effect_id:
        record["effect"] = str(error.effect_id)
    return record


def overrun(held: Held) -> None:
    """A body did not come back within its timeout: its attempt ends now, and its process with it.

    A hung thread cannot be ended, so its process drains, exits and is started again by its supervisor.
    """
    job = held.job
    error = TimedOut(f"{job.type} did not come back within {job.timeout_s} s, nor {OVERRUN_GRACE_S:.0f} s later")
    try:
        failed(job, held.usage, error)
        events.emit("job.timed_out", level=logging.ERROR, job=job.id, type=job.type, workflow=job.workflow_id)
    except (LostLease, Unavailable, DatabaseBusy) as lost:
        events.emit("job.lost_lease", level=logging.WARNING, job=job.id, type=job.type, error=lost)
    held.gone = "timed out"
    events.emit("worker.hung", level=logging.ERROR, worker=this.actor, type=job.type)
    draining.end_process()
