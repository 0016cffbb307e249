"""running -> completed"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from agentapp.lifecycle.opened import Claimed, Settled
from agentapp.lifecycle.requests import Taker
from agentapp.lifecycle.settle import settle
from agentapp.states import AttemptOutcome, JobState


def complete(
    job: Claimed,
    output: dict[str, Any],
    *,
    worker: str,
    usage: dict[str, Any] | None = None,
    in_place: bool = False,
    queues: Sequence[str] = (),
    lease_s: float = 0,
    process: int | None = None,
    models: Mapping[str, str] | None = None,
    asking: Sequence[str] = (),
    watched: bool = True,
) -> Settled:
    """Record the result of a running job and open whatever waited for it, in one round trip.

    Call it with the Claimed that claim() returned: its lease token is the proof of ownership. With `in_place`, a
    single next job of one of `queues` is claimed in the same round trip and returned as `taken`; or, where a gate must
    be asked first, what is opened says that it `follows`. `models` and `asking` are as in claim().

    Raises:
        LostLease: the lease ran out and another worker owns the job; nothing is stored.
    """
    more: dict[str, Any] = {}
    if in_place:
        # It follows from this lease's: asked again after a lost answer, the move finds what it took.
        more["next_token"] = str(UUID(int=job.token.int + 1))
    return settle(
        job, to=JobState.COMPLETED, outcome=AttemptOutcome.COMPLETED, worker=worker, usage=usage, output=output,
        watched=watched, **more,
        taker=Taker(worker, queues, lease_s, process, models or {}, asking),
    )  # fmt: skip
