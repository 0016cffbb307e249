"""Publishing after commit. It is the fast path: what fails here, the dispatcher publishes later.

Messages are written as Celery's own `apply_async` writes them for the same canvas (a test compares them), but with what
never changes left out: freezing every link for a result that nobody reads was a quarter of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

from celery import current_app
from celery.canvas import Signature
from django.db import transaction

from agentapp import failpoints
from agentapp.dispatch import canvas, waking
from agentapp.dispatch.broker_pool import pool
from agentapp.lifecycle.opened import Opened
from agentapp.observability import events

Embedded = dict[str, Any]

# The Celery task of runtime.clean_up: a message about a job that is over, and no job itself.
CLEAN_UP = "agentapp.clean_up"


def publish(opened: Opened | None) -> bool:
    """Publish what a move opened, once its transaction has committed. False when the broker did not take it.

    The dispatcher is woken for what is held back.
    """
    if opened is None:
        return True
    work = canvas.build(opened)
    # Django would take a connection out of the pool to find out that there is no transaction, and keep it.
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(lambda: _publish(work, opened))
        return True
    return _publish(work, opened)


def _publish(work: Signature | None, opened: Opened) -> bool:
    if opened.held:
        waking.wake()
    return work is None or publish_canvas(work)


def publish_canvas(work: Signature) -> bool:
    """Publish one canvas. Never raises for a broker that is away: the rows say what is due."""
    try:
        with pool.producer() as producer:
            for link, embedded in messages(work):
                failpoints.hit("publish.before", str(link.task))
                _post(producer, link, embedded)
                failpoints.hit("publish.after", str(link.task))
    except ConnectionError as error:
        events.emit("publish.failed", level=logging.WARNING, error=error)
        return False
    return True


def publish_clean_up(job_id: UUID, *, queue: str) -> bool:
    """Ask a worker of a queue to clean up after a cancelled job. Never raises, like publish_canvas."""
    return publish_canvas(current_app.signature(CLEAN_UP, args=(str(job_id),), immutable=True, queue=queue, priority=0))


def messages(work: Any) -> Iterator[tuple[Signature, Embedded]]:
    """Take a canvas apart into the messages that start it, each with what it carries along: a chain, or a chord."""
    if work.task == "celery.chain":
        first, *rest = work.tasks
        yield first, {"chain": [dict(link) for link in reversed(rest)]}
    elif work.task == "celery.chord":
        group_id, body = str(uuid4()), dict(work.body)
        for index, part in enumerate(work.tasks):
            yield part, {"chord": body, "group_id": group_id, "group_index": index}
    elif work.task == "celery.group":
        for part in work.tasks:
            yield part, {}
    else:
        yield work, {}


def _post(producer: Any, link: Signature, embedded: Embedded) -> None:
    task_id, options = str(uuid4()), link.options
    message = current_app.amqp.as_task_v2(
        task_id, str(link.task), tuple(link.args), {}, ignore_result=True, root_id=task_id, **embedded
    )
    producer.publish(
        message.body,
        exchange="",
        routing_key=options["queue"],
        declare=[current_app.amqp.queues[options["queue"]]],
        headers=message.headers,
        priority=options["priority"],
        serializer="json",
        delivery_mode=2,
        # No second try here: the client of the web waits, and the dispatcher publishes what is left over.
        retry=False,
        **message.properties,
    )
