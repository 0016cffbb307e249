"""running -> running: what an attempt has come to is kept for the next one."""

from __future__ import annotations

from typing import Any

from agentapp.lifecycle import database, owned
from agentapp.lifecycle.opened import Claimed


def save(job: Claimed, checkpoint: dict[str, Any]) -> None:
    """Store a checkpoint in one committed statement.

    Raises:
        Cancelled: the task was cancelled.
        LostLease: the job is somebody else's now; nothing is stored.
    """
    owned.check(job, database.call("checkpoint", job=job.id, token=job.token, checkpoint=checkpoint))
