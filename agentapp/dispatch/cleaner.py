"""Clean-ups of cancelled jobs whose own worker did not report them: another worker of the class is asked."""

from __future__ import annotations

import logging

from agentapp.dispatch import publisher
from agentapp.lifecycle import clean_up
from agentapp.observability import events

BATCH = 200


def clean_up_left_over() -> int:
    """Ask for the clean-ups that are due, and return how many."""
    asked = [job for job in clean_up.due(limit=BATCH) if clean_up.ask(job)]
    for job in asked:
        events.emit("job.clean_up_asked", level=logging.WARNING, job=job.pk, type=job.type)
        publisher.publish_clean_up(job.pk, queue=job.queue)
    return len(asked)
