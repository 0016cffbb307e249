"""running -> running: what an attempt has come to is kept for the next one."""

from __future__ import annotations

from typing import Any

from agentapp.errors import Cancelled, LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.states import JobState


def save(job: Claimed, checkpoint: dict[str, Any]) -> None:
    """Store a checkpoint in one committed statement.

    Raises:
        Cancelled: the task was cancelled.
        LostLease: the job is somebody else's now; nothing is stored.
    """
    answer = database.call("checkpoint", job=job.id, token=job.token, checkpoint=checkpoint)
    if answer["state"] == JobState.CANCELLED:
        raise Cancelled(f"{job.type} {job.id}: its task was cancelled.")
    if answer["status"] != "ok":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} no longer owns it.")
