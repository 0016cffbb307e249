"""running -> running: an attempt goes on with another model."""

from __future__ import annotations

from agentapp.lifecycle import database, owned
from agentapp.lifecycle.opened import Claimed


def switch(job: Claimed, limit_name: str) -> int | None:
    """Count a job as one that calls this model, if that one's gate lets it pass: return the tokens that it was charged
    in advance. None: a gate is in the way, and nothing has changed.

    Raises:
        Cancelled: the task was cancelled.
        LostLease: the job is somebody else's now.
    """
    answer = database.call("switch_model", job=job.id, token=job.token, model=limit_name)
    owned.check(job, answer)
    return answer["tokens"] if answer["status"] == "ok" else None
