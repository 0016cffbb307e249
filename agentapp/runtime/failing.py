"""What follows a body that failed: the retry brain decides, a move records it."""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from agentapp import registry
from agentapp.errors import ContentChanged, EffectUnknown, LostLease, TimedOut, Unavailable
from agentapp.lifecycle.decide import reopen
from agentapp.lifecycle.fail import dead_letter, retry_later
from agentapp.lifecycle.opened import Claimed, Opened, Settled
from agentapp.observability import events
from agentapp.policies import fingerprint, retry
from agentapp.policies.classify import ErrorKind, classify, retry_after_s
from agentapp.runtime import draining
from agentapp.runtime.heartbeat import OVERRUN_GRACE_S, Held, heartbeat
from agentapp.runtime.process import this
from agentapp.runtime.usage import AttemptUsage

T = TypeVar("T")
TRACE_CHARACTERS = 8_000


def failed(job: Claimed, usage: AttemptUsage, error: Exception) -> tuple[str, Settled]:
    """Record a failed attempt and return its job's new state in a word. Raises LostLease."""
    me = this.actor
    fields = {"job": job.id, "type": job.type, "workflow": job.workflow_id, "attempt": job.attempt, "error": error}
    if isinstance(error, ContentChanged):
        changed = error
        patiently(
            lambda: reopen(
                job, changed.approval_id, content=changed.content, content_sha256=changed.sha256,
                reason=str(changed), worker=me,
            )
        )  # fmt: skip
        events.emit("job.reopened", level=logging.WARNING, **fields)
        return "approval opened again", Settled(Opened())
    kind = classify(error)
    policy = registry.job_types[job.type].retry if job.type in registry.job_types else retry.RetryPolicy()
    decision = retry.decide(policy, attempt=job.attempt, kind=kind, retry_after_s=retry_after_s(error))
    record = error_record(job.type, error, kind)
    if isinstance(decision, retry.RetryIn):
        seconds = retry.with_jitter(decision.seconds, fraction=random.random())  # noqa: S311 - jitter
        settled = patiently(
            lambda: retry_later(job, error=record, retry_in_s=seconds, worker=me, usage=usage.as_json())
        )
        events.emit("job.retried", level=logging.WARNING, retry_in_s=round(seconds, 1), **fields)
        return "retryable", settled
    reason = decision.reason
    settled = patiently(lambda: dead_letter(job, error=record, reason=reason, worker=me, usage=usage.as_json()))
    events.emit("job.dead_lettered", level=logging.ERROR, reason=reason, **fields)
    return "dead lettered", settled


def error_record(job_type: str, error: BaseException, kind: ErrorKind) -> dict[str, Any]:
    """An error as its attempt keeps it: class, kind, message, its fingerprint and the end of its trace."""
    trace = "".join(traceback.format_exception(error))
    name = type(error).__name__
    message = str(error) or name
    record = {
        "class": name, "kind": kind.value, "message": message,
        "fingerprint": fingerprint.of(job_type, name, message), "trace": trace[-TRACE_CHARACTERS:],
    }  # fmt: skip
    if isinstance(error, EffectUnknown) and error.effect_id:
        record["effect"] = str(error.effect_id)
    return record


def overrun(held: Held) -> None:
    """A body did not come back within its timeout: its attempt ends now, and its process with it.

    A hung thread cannot be ended, so its process drains, exits and is started again by whoever watches over it.
    """
    job = held.job
    error = TimedOut(f"{job.type} did not come back within {job.timeout_s} s, nor {OVERRUN_GRACE_S:.0f} s later")
    try:
        failed(job, held.usage, error)
        events.emit("job.timed_out", level=logging.ERROR, job=job.id, type=job.type, workflow=job.workflow_id)
    except (LostLease, Unavailable) as lost:
        events.emit("job.lost_lease", level=logging.WARNING, job=job.id, type=job.type, error=lost)
    held.gone = "timed out"
    events.emit("worker.hung", level=logging.ERROR, worker=this.actor, type=job.type)
    draining.end_process()


heartbeat.on_overrun = overrun


def patiently(move: Callable[[], T], *, longest_wait_s: float = 5.0) -> T:
    """Make a move, again and again while Postgres is away. Settling twice is safe: the token tells.

    Raises:
        Unavailable: the worker drains, so the lease will run out and another worker takes the job.
    """
    wait_s = 0.1
    while True:
        try:
            return move()
        except Unavailable as error:
            if this.draining:
                raise
            events.emit("postgres.unavailable", level=logging.WARNING, error=error)
            time.sleep(wait_s * (0.5 + random.random()))  # noqa: S311 - jitter
            wait_s = min(longest_wait_s, wait_s * 2)
