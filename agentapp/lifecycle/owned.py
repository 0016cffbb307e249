"""What a move answers to an attempt that may no longer own its job."""

from __future__ import annotations

from typing import Any

from agentapp.errors import Cancelled, LostLease
from agentapp.lifecycle.opened import Claimed
from agentapp.states import JobState


def check(job: Claimed, answer: dict[str, Any]) -> None:
    """Read {"status", "state"} of a move that only the owner of the job's lease can make.

    Raises:
        Cancelled: the task was cancelled.
        LostLease: the job is somebody else's now.
    """
    if answer.get("state") == JobState.CANCELLED:
        raise Cancelled(f"{job.type} {job.id}: its task was cancelled.")
    if answer.get("status") == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} no longer owns it.")
