"""Publishing after commit. It is the fast path: what fails here, the dispatcher publishes later."""

from __future__ import annotations

import logging

from celery import current_app
from celery.canvas import Signature
from celery.exceptions import OperationalError
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError

from agentapp.dispatch import canvas
from agentapp.lifecycle.opened import Opened
from agentapp.observability import events


def publish(opened: Opened | None) -> bool:
    """Publish what a move opened, once its transaction has committed. False when the broker did not take it."""
    work = canvas.build(opened) if opened else None
    if work is None:
        return True
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(lambda: publish_signature(work))
        return True
    return publish_signature(work)


def publish_signature(work: Signature) -> bool:
    """Publish one canvas. Never raises for a broker that is away: the rows say what is due."""
    try:
        with current_app.producer_or_acquire() as producer:
            work.apply_async(producer=producer, add_to_parent=False)
    except (OperationalError, BrokerError, OSError) as error:
        events.emit("publish.failed", level=logging.WARNING, error=error)
        return False
    return True
