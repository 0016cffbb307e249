"""running -> retryable | dead_lettered"""

from __future__ import annotations

from typing import Any

from agentapp.lifecycle.opened import Claimed, Settled
from agentapp.lifecycle.settle import settle
from agentapp.policies import storable
from agentapp.states import AttemptOutcome, JobState


def retry_later(
    job: Claimed, *, error: dict[str, Any], retry_in_s: float, worker: str, usage: dict[str, Any] | None = None
) -> Settled:
    """Record a failed attempt; the dispatcher makes the job available again after `retry_in_s` seconds.

    `error` is {"class", "kind", "message", "trace"}. Raises LostLease like `complete`.
    """
    return settle(
        job, to=JobState.RETRYABLE, outcome=AttemptOutcome.FAILED, worker=worker, usage=usage, error=error,
        retry_in_s=retry_in_s, reason=storable.text(error["message"], most=storable.LONGEST_REASON),
    )  # fmt: skip


def dead_letter(
    job: Claimed, *, error: dict[str, Any], reason: str, worker: str, usage: dict[str, Any] | None = None
) -> Settled:
    """Record a failure for good: a person must look. Raises LostLease like `complete`."""
    return settle(
        job, to=JobState.DEAD_LETTERED, outcome=AttemptOutcome.FAILED, worker=worker, usage=usage, error=error,
        reason=reason,
    )  # fmt: skip
