"""The one projection of rows onto a Celery canvas."""

from __future__ import annotations

from celery import Celery, chain, chord, current_app, group
from celery.canvas import Signature

from agentapp.lifecycle.opened import Link, Opened
from agentapp.policies import priority


def build(opened: Opened) -> Signature | None:
    """Return the canvas of what remains: available jobs, then what follows up to the next person or fan-out.

    One job: a chain with the lone jobs after it. Many: a chord whose body is the job behind the join, and no further,
    because every message of the header carries the body. None when nothing is due.
    """
    jobs = [signature(link) for link in opened.jobs]
    tail = [signature(link) for link in opened.tail]
    if not jobs:
        return None
    if len(jobs) == 1:
        return chain(*jobs, *tail) if tail else jobs[0]
    return chord(group(jobs), body=tail[0]) if tail else group(jobs)


def signature(link: Link, *, app: Celery = current_app) -> Signature:
    """The message of one job: its id, and nothing else."""
    return app.signature(
        link.type,
        args=(link.id,),
        immutable=True,
        queue=link.queue,
        priority=priority.to_broker(link.priority),
    )
