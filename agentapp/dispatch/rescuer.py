"""What was lost is found: leases that ran out, messages that never arrived."""

from __future__ import annotations

import logging

from agentapp.dispatch import broker, publisher
from agentapp.lifecycle import lose, republish
from agentapp.observability import events

BATCH = 200
ACTOR = "dispatcher"


def rescue_expired() -> int:
    """End the attempts of workers that stopped renewing, publish their jobs again at once, and return how many."""
    rescued = 0
    for job in lose.expired(limit=BATCH):
        opened = lose.lose(job, actor=ACTOR)
        if opened is None:
            continue
        events.emit("job.rescued", level=logging.WARNING, job=job.pk, type=job.type, worker=job.worker)
        publisher.publish(opened)
        rescued += 1
    return rescued


def publish_again() -> int:
    """Publish available jobs whose message is lost, and return how many.

    A job is suspected when it has been available and published for a second without a claim. If its queue is empty the
    message is lost; otherwise it may only be waiting, and is published again with a back-off that doubles, so that a
    long backlog is not flooded. A message too many does no harm: the claim refuses it.
    """
    repeated = 0
    for queue, suspects in republish.suspects(limit=BATCH).items():
        try:
            empty = broker.depth(queue) == 0
        except ConnectionError as error:
            events.emit("publish.failed", level=logging.WARNING, error=error)
            return repeated
        for job in suspects:
            if not empty and not republish.is_overdue(job):
                continue
            opened = republish.again(job)
            if opened is None:
                continue
            events.emit("publish.repeated", job=job.pk, type=job.type, publishes=job.publishes)
            if not publisher.publish(opened):
                return repeated
            repeated += 1
    return repeated
