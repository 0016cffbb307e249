"""Jobs that failed for good and wait for a person."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp import registry
from agentapp.dispatch import publisher
from agentapp.errors import InvalidInput, InvalidPayload, NotFound
from agentapp.lifecycle import mend
from agentapp.models import Job
from agentapp.services.principals import Principal
from agentapp.states import JobState


def listing(principal: Principal) -> QuerySet[Job]:
    """The dead letters that the principal may see, newest first."""
    principal.require("tasks:read")
    dead = Job.objects.filter(state=JobState.DEAD_LETTERED)
    return principal.visible(dead).select_related("workflow", "tenant", "stage").order_by("-finished_at")


def get(principal: Principal, job_id: UUID) -> Job:
    """Raises NotFound."""
    job = listing(principal).filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"There is no dead letter {job_id} in this workspace. It may have been replayed already.")
    return job


def replay(principal: Principal, job_id: UUID, *, payload: dict[str, Any] | None = None) -> Job:
    """Let a dead letter run again with a fresh attempt budget, with an edited payload where one is given.

    Raises:
        InvalidInput: the edited payload does not fit the job type's signature.
        IllegalMove: it was replayed or cancelled in the meantime.
    """
    principal.require("dead_letters:write")
    job = get(principal, job_id)
    if payload is not None:
        try:
            registry.job_type(job.type).check(payload)
        except InvalidPayload as error:
            raise InvalidInput(str(error), errors=[{"field": "payload", "message": str(error)}]) from error
    publisher.publish(mend.replay(job, actor=principal.actor, payload=payload))
    return Job.objects.select_related("workflow", "stage").get(pk=job.pk)


def cancel(principal: Principal, job_id: UUID, *, reason: str) -> Job:
    """Give a dead letter up: its task is cancelled with the reason.

    Raises:
        InvalidInput: no reason.
        IllegalMove: the task is over already.
    """
    principal.require("dead_letters:write")
    if not reason.strip():
        raise InvalidInput(
            "Say why the task is given up.", errors=[{"field": "reason", "message": "must not be empty"}]
        )
    job = get(principal, job_id)
    mend.cancel(job.workflow_id, actor=principal.actor, reason=reason)
    return Job.objects.select_related("workflow", "stage").get(pk=job.pk)
