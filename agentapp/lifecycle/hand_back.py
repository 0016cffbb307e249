"""running -> available | retryable, without an attempt that counts"""

from __future__ import annotations

from typing import Any

from agentapp.lifecycle.opened import Claimed, Settled
from agentapp.lifecycle.settle import settle
from agentapp.policies import storable
from agentapp.states import AttemptOutcome, JobState


def hand_back(job: Claimed, *, worker: str, reason: str, usage: dict[str, Any] | None = None) -> Settled:
    """Give a running job back with its checkpoint; the attempt does not count. Raises LostLease like `complete`."""
    return settle(
        job, to=JobState.AVAILABLE, outcome=AttemptOutcome.HANDED_BACK, worker=worker, usage=usage, reason=reason
    )


def wait(
    job: Claimed,
    *,
    why: str,
    error: dict[str, Any],
    retry_in_s: float,
    worker: str,
    usage: dict[str, Any] | None = None,
) -> Settled:
    """Give a running job back that cannot go on now, through no fault of its own: `why` in a few words. The dispatcher
    makes it available again after `retry_in_s` seconds. Raises LostLease like `complete`.
    """
    reason = storable.text(f"{why}: {error['message']}", most=storable.LONGEST_REASON)
    return settle(
        job, to=JobState.RETRYABLE, outcome=AttemptOutcome.HANDED_BACK, worker=worker, usage=usage, error=error,
        retry_in_s=retry_in_s, reason=reason,
    )  # fmt: skip
