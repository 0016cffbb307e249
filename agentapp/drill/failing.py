"""Questions about jobs that fail: with their process, again and again, for good."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from agentapp import registry
from agentapp.drill.answers import NotAvailable, Red
from agentapp.drill.ground import Ground, TooLate
from agentapp.models import Attempt, Job, Workflow
from agentapp.policies.counting import count
from agentapp.services import dead_letters
from agentapp.states import AttemptOutcome


def worker_crash(ground: Ground) -> str:
    """A job kills its own process; another process must go on with it. [D3]"""
    return survived(ground, ground.submit("drill_crash"))


def survived(ground: Ground, task: Workflow) -> str:
    """Wait for a task whose job kills its process.

    Raises:
        NotAvailable: the job refused, because it would kill others too.
        Red: it completed, but not by an attempt after lost ones alone.
    """
    try:
        ground.reach([task], "completed")
    except TooLate:
        refusal = task.jobs.get().error or {}
        if refusal.get("class") == "PermanentError":
            raise NotAvailable(refusal["message"]) from None
        raise
    attempts = _attempts(task.jobs.get())
    outcomes = [attempt.outcome for attempt in attempts]
    # On a machine that is too busy to renew a lease in time, a later one is lost as well, and made up for.
    if len(outcomes) < 2 or outcomes[-1] != AttemptOutcome.COMPLETED or {*outcomes[:-1]} != {AttemptOutcome.LOST}:
        raise Red(f"its attempts ended as {', '.join(outcomes)}, not as lost, completed")
    died, went_on = attempts[0], attempts[-1]
    return (
        f"{len(attempts)} attempts: {died.worker} died with the first, {went_on.worker} completed the last, "
        f"begun {_seconds(died.started_at, went_on.started_at)} after it"
    )


def retry_cap(ground: Ground) -> str:
    """A job fails at every attempt; it must wait between them and stop at its cap. [F2]"""
    job = _dead(ground)
    policy = registry.job_type(job.type).retry
    attempts = _attempts(job)
    if len(attempts) != policy.max_attempts:
        raise Red(f"{count(len(attempts), 'attempt')}, although the cap is {policy.max_attempts}")
    waits = [(later.started_at - _end(earlier)).total_seconds() for earlier, later in pairwise(attempts)]
    least = [policy.wait_before(number) for number in range(2, policy.max_attempts + 1)]
    if any(wait < must for wait, must in zip(waits, least, strict=True)):
        raise Red(f"it waited {_list(waits)} between its attempts, less than its back-off of {_list(least)}")
    return (
        f"{len(attempts)} of {policy.max_attempts} attempts, {_list(waits)} apart (back-off {_list(least)}), then a "
        "dead letter"
    )


def dead_letter_visible(ground: Ground) -> str:
    """What failed for good must be listed with the error of each attempt until a person has decided. [F3]"""
    job = _dead(ground)
    listed = dead_letters.listing(ground.principal)
    if not listed.filter(pk=job.pk).exists():
        raise Red(f"the dead letter {job.pk} is not listed")
    attempts = _attempts(dead_letters.get(ground.principal, job.pk))
    silent = [attempt.number for attempt in attempts if not (attempt.error_class and attempt.error_message)]
    if silent or not attempts:
        raise Red(f"of {count(len(attempts), 'attempt')} these kept no error: {silent}")
    dead_letters.cancel(ground.principal, job.pk, reason="the drill has seen it")
    if listed.filter(pk=job.pk).exists():
        raise Red(f"the dead letter {job.pk} is still listed although its task was cancelled")
    errors = ", ".join(f"{attempt.number} {attempt.error_class}" for attempt in attempts)
    return (
        f"listed with {count(len(attempts), 'attempt')} and their errors ({errors}); gone from the list once cancelled"
    )


def _dead(ground: Ground) -> Job:
    """Submit a job that always fails, and return it as a dead letter."""
    task = ground.submit("drill_fail")
    ground.reach([task], "needs_attention")
    return task.jobs.get()


def _attempts(job: Job) -> list[Attempt]:
    return list(job.attempts.order_by("number"))


def _end(attempt: Attempt) -> datetime:
    if attempt.finished_at is None:
        raise Red(f"attempt {attempt.number} has no end")
    return attempt.finished_at


def _seconds(start: datetime, end: datetime) -> str:
    return f"{(end - start).total_seconds():.1f} s"


def _list(seconds: list[float]) -> str:
    return " and ".join(f"{value:.2f} s" for value in seconds)
