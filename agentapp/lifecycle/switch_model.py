"""running -> running: an attempt goes on with another model."""

from __future__ import annotations

from dataclasses import dataclass

from agentapp.lifecycle import database, owned
from agentapp.lifecycle.opened import Claimed


@dataclass(frozen=True)
class Passed:
    """A job has passed the gate of a model. `tokens` were charged to it in advance; `is_budgeted`: what its models use
    is reserved first."""

    tokens: int
    is_budgeted: bool


def switch(job: Claimed, limit_name: str) -> Passed | None:
    """Count a job as one that calls this model, if that one's gate lets it pass. None: a gate is in the way, and
    nothing has changed.

    Raises:
        Cancelled: the task was cancelled.
        LostLease: the job is somebody else's now.
    """
    answer = database.call("switch_model", job=job.id, token=job.token, model=limit_name)
    owned.check(job, answer)
    return Passed(answer["tokens"], bool(answer["budgeted"])) if answer["status"] == "ok" else None
