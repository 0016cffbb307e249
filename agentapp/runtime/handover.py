"""Between a job that has run and the canvas of its message: who publishes what follows?"""

from __future__ import annotations

from typing import Any

from celery import Task

from agentapp import failpoints
from agentapp.dispatch import publisher, waking
from agentapp.dispatch.backend import OPENED
from agentapp.errors import DatabaseBusy, Unavailable
from agentapp.lifecycle.opened import Opened
from agentapp.runtime import runner
from agentapp.runtime.flower import StepEvents


def handle(task: Task[Any, Any], job_id: str) -> str:
    """Run the job that a message names; the word that is returned is what Flower shows.

    Celery goes on with this message's chain or chord only where this message completed its job, nothing ran in place,
    and what was opened is exactly the first link. In every other case its canvas is forgotten, and what is due is
    published from the rows.
    """
    steps = StepEvents(task)
    failpoints.hit("claim.before", str(task.name))
    try:
        ran = runner.run(job_id, on_step=steps.add)
    except (Unavailable, DatabaseBusy):
        # Postgres is away and the worker ends: the lease runs out, or the message is missed, and another goes on.
        ran = runner.Ran("Postgres away")
    steps.flush()
    if ran.is_awaited:
        waking.wake()
    if ran.word == "completed" and not ran.in_place and _celery_goes_on(task.request, ran.opened):
        return ran.word
    task.request.chain = task.request.chord = None
    publisher.publish(ran.opened)
    return ran.word if not ran.in_place else f"{ran.word}, {ran.in_place} more in place"


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
