"""running -> running: an attempt goes on with another model."""

from __future__ import annotations

from agentapp.errors import Cancelled, LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.states import JobState


def switch(job: Claimed, limit_name: str) -> int | None:
    """Count a job as one that calls this model, if that one's gate lets it pass: return the tokens that it was charged
    in advance. None: a gate is in the way, and nothing has changed.

    Raises:
        Cancelled: the task was cancelled.
        LostLease: the job is somebody else's now.
    """
    answer = database.call("switch_model", job=job.id, token=job.token, model=limit_name)
    if answer.get("state") == JobState.CANCELLED:
        raise Cancelled(f"{job.type} {job.id}: its task was cancelled.")
    if answer["status"] == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} no longer owns it.")
    return answer["tokens"] if answer["status"] == "ok" else None
