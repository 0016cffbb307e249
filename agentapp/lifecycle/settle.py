"""running -> whatever an attempt led to. The named moves beside this file are the ones to call."""

from __future__ import annotations

from typing import Any

from agentapp.errors import LostLease
from agentapp.lifecycle import claimed, lane
from agentapp.lifecycle.opened import Claimed, Opened, Settled
from agentapp.lifecycle.requests import SettleRequest, Taker
from agentapp.states import AttemptOutcome, JobState


def settle(
    job: Claimed, *, to: JobState, outcome: AttemptOutcome, worker: str, usage: dict[str, Any] | None = None,
    watched: bool = True, taker: Taker | None = None, **more: Any,
) -> Settled:  # fmt: skip
    """End an attempt by its lease token and open what follows, in one round trip.

    `usage` carries what the attempt cost and did: tokens, cost_usd, unpriced_calls, effects. `watched`: find out
    whether others wait for what it held at its gates.

    Raises:
        LostLease: the lease ran out and the job is somebody else's; only confirmed effects were recorded.
    """
    request = SettleRequest(
        workflow=str(job.workflow_id), job=str(job.id), token=str(job.token), state=to.value, outcome=outcome.value,
        watched=watched, **(usage or {}), **more,
    )  # fmt: skip
    answer = lane.settles(request, actor=worker, taker=taker)
    if answer["status"] == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} of {worker} no longer owns it.")
    return read(answer)


def read(answer: dict[str, Any]) -> Settled:
    """What the answer of the move says."""
    taken = answer.get("taken")
    return Settled(Opened.of(answer), _following(taken), bool(answer.get("awaited")), answer.get("unusable") or "")


def _following(taken: dict[str, Any] | None) -> Claimed | None:
    """The next job where it was taken at once."""
    if not taken or "refused" in taken:
        return None
    try:
        return claimed.read(taken)
    except LostLease:
        # This job is still settled.
        return None
