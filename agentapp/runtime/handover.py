"""Between a message and the job that it names: who publishes what follows?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from celery import Task

from agentapp import failpoints
from agentapp.dispatch import publisher, waking
from agentapp.dispatch.backend import OPENED
from agentapp.errors import DatabaseBusy, Unavailable
from agentapp.lifecycle.opened import Opened
from agentapp.runtime import claiming, runner
from agentapp.runtime.claiming import PendingClaim
from agentapp.runtime.outcome import End
from agentapp.runtime.process import this
from agentapp.runtime.runner import OnStep, Ran
from agentapp.runtime.task_events import task_events


def claim_together(messages: Sequence[tuple[str, str]]) -> list[PendingClaim]:
    """Claim the jobs of several messages, each a type and an id, in one move. Never raises."""
    for name, _ in messages:
        failpoints.hit("claim.before", name)
    return claiming.claim_together([job_id for _, job_id in messages])


def perform(name: str, pending: PendingClaim, *, on_step: OnStep | None) -> Ran:
    """Run the job that a message names, and wake who waits for what it held. The caller publishes what it opened."""
    if pending.result is None:
        failpoints.hit("claim.before", name)
    try:
        ran = runner.run(pending.job_id, pending=pending, on_step=on_step)
    except (Unavailable, DatabaseBusy):
        # Postgres is away and the worker ends: the lease runs out, or the message is missed, and another goes on.
        ran = Ran("Postgres away")
    if ran.is_awaited:
        waking.wake()
    return ran


def handle(task: Task[Any, Any], job_id: str) -> str:
    """Run a job as the body of its Celery task; the word that is returned is what Flower shows.

    Celery goes on with this message's chain or chord only where this message completed its job, nothing ran in place,
    and what was opened is exactly the first link. In every other case its canvas is forgotten, and what is due is
    published from the rows.
    """
    show = partial(task_events.ran_in_place, root=task.request.root_id)
    ran = perform(str(task.name), PendingClaim(job_id), on_step=show if this.sends_events else None)
    task_events.flush()
    if ran.word == End.COMPLETED and not ran.in_place and _celery_goes_on(task.request, ran.opened):
        return ran.word
    task.request.chain = task.request.chord = None
    publisher.publish(ran.opened)
    return ran.summary


def _celery_goes_on(request: Any, opened: Opened) -> bool:
    if len(opened.jobs) != 1:
        return False
    (job,) = opened.jobs
    if request.chain:
        return list(request.chain[-1]["args"]) == [job.id]
    if request.chord:
        setattr(request, OPENED, (job.id,))
        return list(request.chord["args"]) == [job.id]
    return False
