"""One run of a job: claim, check, perform, settle; then, where possible, the next one in place."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, assert_never

from agentapp import conf, failpoints, redaction, registry
from agentapp.errors import Cancelled, DatabaseBusy, LostLease, PermanentError, Unavailable
from agentapp.lifecycle import database, republish
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed, Opened, Refused, Settled
from agentapp.observability import events
from agentapp.policies import sentences, storable
from agentapp.runtime import clean_up, draining, effects, failing, outcome, spans
from agentapp.runtime.claiming import PendingClaim, asking, models, result_of
from agentapp.runtime.context import JobContext
from agentapp.runtime.counters import counters
from agentapp.runtime.heartbeat import Held, heartbeat
from agentapp.runtime.outcome import End, Follows, Outcome, Owned
from agentapp.runtime.patience import patiently
from agentapp.runtime.process import this

# A job that ran in place, for how many seconds, and what came of it.
OnStep = Callable[[Claimed, float, str], None]


@dataclass(frozen=True)
class Ran:
    """What one message led to: a word for Flower, what is to be published, and how many jobs ran in place.

    `is_awaited`: others wait for what its jobs held at a gate.
    """

    word: str
    opened: Opened = field(default_factory=Opened)
    in_place: int = 0
    is_awaited: bool = False

    @property
    def summary(self) -> str:
        return f"{self.word}, {self.in_place} more in place" if self.in_place else self.word


def run(job_id: str, *, pending: PendingClaim | None = None, on_step: OnStep | None = None) -> Ran:
    """Run a job if it is due, and what follows it in place while the budget lasts.

    `pending`: its claim, where that was made together with others. `on_step` hears of every job that ran in place.

    Raises:
        Unavailable: Postgres is away and the worker drains.
    """
    pending = pending or PendingClaim(job_id)
    if this.draining and pending.result is None:
        # The message is used up: another one must take its place.
        return Ran("draining", republish.returned(job_id) or Opened())
    job = result_of(pending)
    if isinstance(job, Refused):
        events.emit("job.refused", level=logging.DEBUG, job=job_id, reason=job.reason)
        return Ran(job.reason)
    # What was claimed together with others may have waited for a thread, while this worker began to end.
    begins = pending.result is None or not this.draining
    counters.took(job)
    started = time.monotonic()
    first_limit_s, steps, is_awaited = job.timeout_s, 0, False
    while True:
        failpoints.hit("claim.after", job.type)
        step_started = time.monotonic()
        same_limit = job.timeout_s == first_limit_s
        end, follows = _attempt(job, begins=begins, may_continue=partial(_may_continue, started, same_limit))
        if steps and on_step:
            on_step(job, time.monotonic() - step_started, end.value)
        is_awaited = is_awaited or follows.is_awaited
        following = _following(follows)
        if isinstance(following, Opened):
            return Ran(end.value, following, steps, is_awaited)
        job, steps = following, steps + 1


def _following(follows: Follows) -> Claimed | Opened:
    """The job that this worker goes on with, or what is left to publish."""
    match follows:
        case outcome.Publish(opened):
            return opened
        case outcome.Continue(job):
            return job
        case outcome.ClaimNext(job_id):
            claimed = result_of(PendingClaim(job_id))
            return claimed if isinstance(claimed, Claimed) else Opened()
        case _:
            assert_never(follows)


def _may_continue(started: float, same_limit: bool) -> bool:
    within_budget = time.monotonic() - started < conf.in_place_budget_s()
    return within_budget and not this.draining and (same_limit or not this.prefork)


def _attempt(job: Claimed, *, begins: bool, may_continue: Callable[[], bool]) -> tuple[End, Follows]:
    """Perform and settle one claimed job, or hand it back before its body begins."""
    counters.began(job)
    ctx, started = JobContext(job), time.monotonic()
    held = ctx.held = heartbeat.hold(job, ctx.usage)
    try:
        with spans.attempt(job) as span:
            ended = perform(job, ctx) if begins else outcome.HandedBack()
            if isinstance(ended, outcome.Failed):
                span.failed(ended.error)
            end, follows = settle(held, ended, may_continue=may_continue)
            span.set({"agentapp.job.end": end.value})
            return end, follows
    finally:
        heartbeat.let_go(held)
        counters.ended(job, run_s=time.monotonic() - started)
        ctx.close()
        database.release()


def perform(job: Claimed, ctx: JobContext) -> Outcome:
    """Run the body outside of any transaction. However it ends, that is an outcome."""
    try:
        job_type = registry.job_type(job.type)
        arguments = job_type.check(job.payload)
        returned = job_type.body(ctx, **arguments)
        if (swallowed := ctx.decisive(None)) is not None:
            return _failed(ctx, swallowed)
        output = _checked(job, returned or {})
        failpoints.hit("settle.before", job.type)
    except BaseException as error:  # noqa: BLE001 - a body failed, or wanted to leave: the retry policy decides
        return _failed(ctx, ctx.decisive(error) or error)
    return outcome.Completed(output)


def _failed(ctx: JobContext, error: BaseException) -> Outcome:
    """What comes of an error; where a person is asked about the budget, that is no failure."""
    try:
        asking = ctx.asks_instead(error)
    except BaseException as met:  # noqa: BLE001 - as in a body
        return outcome.of(met)
    return outcome.of(error) if asking is None else outcome.Completed(asking)


def _checked(job: Claimed, output: Any) -> dict[str, Any]:
    """The output of a body, if it can be stored."""
    if not isinstance(output, dict):
        raise PermanentError(f"{job.type} returned a {type(output).__name__}; a body returns an object, or nothing.")
    try:
        text = json.dumps(output, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PermanentError(f"{job.type} returned something that is not JSON: {error}") from error
    kept: dict[str, Any] = redaction.redacted_json(output) if redaction.finds(text) else output
    if len(text) > conf.max_output_bytes() < (size_bytes := storable.json_bytes(output)):
        raise PermanentError(
            f"{job.type} returned {size_bytes} bytes; at most {conf.max_output_bytes()} may be "
            "(AGENTAPP_MAX_OUTPUT_BYTES). Write long results as artifacts and return their ids."
        )
    if not storable.is_plain(text) and (found := sentences.entries(storable.problems(output))):
        raise PermanentError(f"{job.type} returned what cannot be stored. {sentences.detail(found)}")
    return kept


def settle(held: Held, ended: Outcome, *, may_continue: Callable[[], bool]) -> tuple[End, Follows]:
    """Record how a body ended, and say what became of it and what follows.

    Raises:
        Unavailable: Postgres is away and the worker drains, so the lease runs out.
    """
    if isinstance(ended, outcome.Gone):
        return _gone(held, ended.error), outcome.Publish()
    held.has_returned = not isinstance(ended, outcome.HandedBack)
    try:
        end, settled = _record(held, ended, may_continue=may_continue)
    except LostLease as error:
        return _gone(held, error), outcome.Publish()
    except DatabaseBusy as error:
        events.emit("job.not_recorded", level=logging.ERROR, job=held.job.id, type=held.job.type, error=error)
        return End.NOT_RECORDED, outcome.Publish()
    return end, outcome.follows(settled)


def _record(held: Held, ended: Owned, *, may_continue: Callable[[], bool]) -> tuple[End, Settled]:
    """Make the move of an outcome. Raises LostLease, DatabaseBusy, Unavailable."""
    job, usage = held.job, held.usage
    match ended:
        case outcome.Completed(output):
            # Asked only now, after the body: a long one has used up the budget of its message.
            recorded = _completed(held, output, in_place=may_continue())
            failpoints.hit("settle.after", job.type)
            return recorded
        case outcome.Failed(error):
            return failing.failed(job, usage, error)
        case outcome.MustWait(error):
            return failing.waits(job, usage, error)
        case outcome.ContentChanged(error):
            return failing.reopened(job, usage, error)
        case outcome.Asks(error):
            return failing.asked(job, usage, error)
        case outcome.HandedBack():
            return End.HANDED_BACK, patiently(lambda: draining.give_up(job, usage))
        case _:
            assert_never(ended)


def _completed(held: Held, output: dict[str, Any], *, in_place: bool) -> tuple[End, Settled]:
    job, usage = held.job, held.usage
    try:
        settled = patiently(
            lambda: complete(
                job, output, worker=this.actor, usage=usage.as_json(), in_place=in_place, queues=this.queues,
                lease_s=conf.lease_s(), process=heartbeat.key(), models=models(), asking=asking(),
                watched=heartbeat.somebody_waits,
            )
        )  # fmt: skip
    except (LostLease, Unavailable):
        raise
    # Shown as completed, as its body has; the row tells what became of the result.
    except DatabaseBusy as error:
        return End.COMPLETED, failing.failed(job, usage, error)[1]
    except Exception as error:  # noqa: BLE001 - whatever keeps a result from being stored is recorded
        unusable = PermanentError(f"{job.type} returned what its workflow cannot use: {error}")
        return End.COMPLETED, failing.failed(job, usage, unusable)[1]
    told: dict[str, Any] = {"job": job.id, "type": job.type, "workflow": job.workflow_id, "attempt": job.attempt}
    if settled.unusable:
        events.emit("job.dead_lettered", level=logging.ERROR, reason=settled.unusable, **told)
        return End.DEAD_LETTERED, settled
    events.emit("job.completed", **told)
    return End.COMPLETED, settled


def _gone(held: Held, error: LostLease | Cancelled) -> End:
    """The result of a job that is no longer ours is thrown away; after a cancelled one its type cleans up."""
    job = held.job
    effects.keep_answers(job, held.usage)
    if clean_up.after(job) or isinstance(error, Cancelled) or held.gone == "cancelled":
        events.emit("job.cancelled", job=job.id, type=job.type, workflow=job.workflow_id)
        return End.CANCELLED
    events.emit("job.lost_lease", level=logging.WARNING, job=job.id, type=job.type, error=error)
    return End.LOST_LEASE
