"""One run of a job: claim, check, perform, settle; then, where possible, the next one in place."""

from __future__ import annotations

import json
import logging
import random
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import DatabaseError

from agentapp import conf, registry
from agentapp.errors import ContentChanged, LostLease, PermanentError, Unavailable
from agentapp.lifecycle import database
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.decide import reopen
from agentapp.lifecycle.fail import dead_letter, retry_later
from agentapp.lifecycle.opened import Claimed, Opened, Refused, Settled
from agentapp.observability import events
from agentapp.policies import retry
from agentapp.policies.classify import ErrorKind, classify, retry_after_s
from agentapp.runtime import worker
from agentapp.runtime.context import JobContext
from agentapp.runtime.heartbeat import heartbeat

T = TypeVar("T")
TRACE_CHARACTERS = 8_000


@dataclass(frozen=True)
class Ran:
    """What one message led to: a word for Flower, what is to be published, and whether anything ran in place."""

    word: str
    opened: Opened = field(default_factory=Opened)
    in_place: int = 0


def run(job_id: str, *, on_step: Callable[[Claimed, float, str], None] | None = None) -> Ran:
    """Run a job if it is due, and what follows it in place while the budget lasts.

    `on_step(job, seconds, word)` hears of every job that ran in place.
    """
    job = patiently(lambda: claim(job_id, worker=worker.this.actor, queues=worker.this.queues, lease_s=conf.lease_s()))
    if isinstance(job, Refused):
        events.emit("job.refused", level=logging.DEBUG, job=job_id, reason=job.reason)
        return Ran(job.reason)
    started = time.monotonic()
    first_limit_s, steps = job.timeout_s, 0
    while True:
        step_started = time.monotonic()
        word, settled = _attempt(job, may_continue=_may_continue(started, job.timeout_s == first_limit_s))
        if steps and on_step:
            on_step(job, time.monotonic() - step_started, word)
        if settled is None or settled.taken is None:
            return Ran(word, settled.opened if settled else Opened(), steps)
        job, steps = settled.taken, steps + 1


def _may_continue(started: float, same_limit: bool) -> bool:
    within_budget = time.monotonic() - started < conf.in_place_budget_s()
    return within_budget and not worker.this.draining and (same_limit or not worker.this.prefork)


def _attempt(job: Claimed, *, may_continue: bool) -> tuple[str, Settled | None]:
    """Perform and settle one claimed job. The word is its new state, or "lost lease"."""
    ctx = JobContext(job)
    heartbeat.hold(job)
    try:
        try:
            output = _perform(job, ctx)
        except LostLease:
            raise
        except Exception as error:  # noqa: BLE001 - a body failed: the retry brain decides
            return _failed(job, ctx, error)
        return "completed", _completed(job, ctx, output, may_continue=may_continue)
    except LostLease as lost:
        events.emit("job.lost_lease", level=logging.WARNING, job=job.id, type=job.type, error=lost)
        return "lost lease", None
    finally:
        heartbeat.let_go(job)
        database.release()


def _perform(job: Claimed, ctx: JobContext) -> dict[str, Any]:
    """Run the body outside of any transaction and return its output."""
    job_type = registry.job_type(job.type)
    arguments = job_type.check(job.payload)
    output = job_type.body(ctx, **arguments) or {}
    try:
        json.dumps(output)
    except (TypeError, ValueError) as error:
        raise PermanentError(f"{job.type} returned something that is not JSON: {error}") from error
    return output


def _completed(job: Claimed, ctx: JobContext, output: dict[str, Any], *, may_continue: bool) -> Settled:
    me = worker.this
    try:
        settled = patiently(
            lambda: complete(
                job, output, worker=me.actor, books=ctx.books.as_json(), in_place=may_continue, queues=me.queues,
                lease_s=conf.lease_s(),
            )
        )  # fmt: skip
    except DatabaseError as error:
        # The output does not fit the plan, such as a fan-out over something that is no list: a person must look.
        return _failed(job, ctx, PermanentError(f"{job.type} returned what its workflow cannot use: {error}"))[1]
    events.emit("job.completed", job=job.id, type=job.type, workflow=job.workflow_id, attempt=job.attempt)
    return settled


def _failed(job: Claimed, ctx: JobContext, error: Exception) -> tuple[str, Settled]:
    me, books = worker.this.actor, ctx.books.as_json()
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
    record = error_record(error, kind)
    if isinstance(decision, retry.RetryIn):
        seconds = retry.with_jitter(decision.seconds, fraction=random.random())  # noqa: S311 - jitter
        settled = patiently(lambda: retry_later(job, error=record, retry_in_s=seconds, worker=me, books=books))
        events.emit("job.retried", level=logging.WARNING, retry_in_s=round(seconds, 1), **fields)
        return "retryable", settled
    reason = decision.reason
    settled = patiently(lambda: dead_letter(job, error=record, reason=reason, worker=me, books=books))
    events.emit("job.dead_lettered", level=logging.ERROR, reason=reason, **fields)
    return "dead lettered", settled


def error_record(error: BaseException, kind: ErrorKind) -> dict[str, Any]:
    """An error as its attempt keeps it: class, kind, message and the end of its trace."""
    trace = "".join(traceback.format_exception(error))
    return {
        "class": type(error).__name__, "kind": kind.value, "message": str(error) or type(error).__name__,
        "trace": trace[-TRACE_CHARACTERS:],
    }  # fmt: skip


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
            if worker.this.draining:
                raise
            events.emit("postgres.unavailable", level=logging.WARNING, error=error)
            time.sleep(wait_s * (0.5 + random.random()))  # noqa: S311 - jitter
            wait_s = min(longest_wait_s, wait_s * 2)
