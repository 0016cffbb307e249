"""running -> available, by a worker that ends"""

from __future__ import annotations

from typing import Any

from agentapp.lifecycle.opened import Claimed, Settled
from agentapp.lifecycle.settle import settle
from agentapp.states import AttemptOutcome, JobState


def hand_back(job: Claimed, *, worker: str, reason: str, usage: dict[str, Any] | None = None) -> Settled:
    """Give a running job back with its checkpoint; the attempt does not count. Raises LostLease like `complete`."""
    return settle(
        job, to=JobState.AVAILABLE, outcome=AttemptOutcome.HANDED_BACK, worker=worker, usage=usage, reason=reason
    )
