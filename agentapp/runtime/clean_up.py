"""After a cancelled job: what its type left lying about outside is cleaned up. [A7]"""

from __future__ import annotations

import logging

from celery import shared_task

from agentapp import registry
from agentapp.dispatch.publisher import CLEAN_UP
from agentapp.ids import parsed
from agentapp.lifecycle import clean_up as ledger
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.observability import events
from agentapp.policies import faults, storable
from agentapp.policies.faults import Fault
from agentapp.runtime.context import JobContext


def after(job: Claimed) -> bool:
    """Clean up in the worker in which the body has just stopped, if it was cancelled and has something to clean up.

    What fails here the dispatcher asks for again.
    """
    found = ledger.take(job.id)
    if found is not None:
        _clean_up(found)
    return found is not None


@shared_task(name=CLEAN_UP, ignore_result=True)
def clean_up(job_id: str) -> str:
    """Clean up because the dispatcher asks: the worker of the body has died, or its clean-up failed."""
    known = parsed(job_id)
    found = ledger.take(known) if known else None
    return _clean_up(found) if found else "nothing to do"


def _clean_up(job: Claimed) -> str:
    job_type = registry.job_types.get(job.type)
    if job_type is not None and job_type.on_cancel is not None:
        with faults.caught(*Fault) as caught:
            job_type.on_cancel(JobContext(job))
        database.release()
        if caught.error is not None:
            words = storable.message(caught.error)
            events.emit("job.clean_up_failed", level=logging.ERROR, job=job.id, type=job.type, error=words)
            return "failed"
    ledger.done(job.id)
    events.emit("job.cleaned_up", job=job.id, type=job.type)
    return "cleaned up"
