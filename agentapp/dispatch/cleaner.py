"""Clean-ups of cancelled jobs whose own worker did not report them: another worker of the class is asked."""

from __future__ import annotations

import logging

from agentapp.dispatch import publisher
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import clean_up
from agentapp.models import Job
from agentapp.observability import events

BATCH = 200

LEFT_OVER = Sweep[Job]("clean-ups", key=lambda job: job.pk)


def clean_up_left_over() -> int:
    """Ask for the clean-ups that are due, and return how many."""
    return LEFT_OVER.each(clean_up.due(limit=BATCH, but_not=LEFT_OVER.set_aside()), _ask)


def _ask(job: Job) -> bool:
    if not clean_up.ask(job):
        return False
    events.emit("job.clean_up_asked", level=logging.WARNING, job=job.pk, type=job.type)
    publisher.publish_clean_up(job.pk, queue=job.queue)
    return True
