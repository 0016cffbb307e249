"""running -> completed"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentapp.lifecycle.opened import Claimed, Settled
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
    watched: bool = True,
) -> Settled:
    """Record the result of a running job and open whatever waited for it, in one round trip.

    Call it with the Claimed that claim() returned: its lease token is the proof of ownership. With `in_place`, a
    single next job of one of `queues` is claimed in the same round trip and returned as `taken`; or, where a gate must
    be asked first, what is opened says that it `follows`.

    Raises:
        LostLease: the lease ran out and another worker owns the job; nothing is stored.
    """
    return settle(
        job, to=JobState.COMPLETED, outcome=AttemptOutcome.COMPLETED, worker=worker, usage=usage, output=output,
        watched=watched, in_place=in_place, queues=list(queues), lease_s=lease_s, process=process,
        models=dict(models or {}),
    )  # fmt: skip
