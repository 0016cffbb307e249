"""available -> running"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from agentapp import ids
from agentapp.errors import LostLease
from agentapp.lifecycle import claimed, lane
from agentapp.lifecycle.opened import Claimed, Refused


def claim(
    job_id: str,
    *,
    worker: str,
    queues: Sequence[str],
    lease_s: float,
    process: int | None = None,
    token: UUID | None = None,
    models: Mapping[str, str] | None = None,
) -> Claimed | Refused:
    """Take a job if it is available, is of one of this worker's classes, its principal may still act, and all of its
    gates let it pass.

    One round trip. Counts the attempt. A permission that is missing makes the job a dead letter; a gate in its way
    parks it. `models` says which model a job type calls here: that one's gate counts. `token` is new for
    each claim; the same one once more, after an answer that was lost, finds what the first call did. `process` is the
    advisory lock that this process holds, or None while it holds none: its death is then noticed by the lease alone.
    """
    job = ids.parsed(job_id)
    if job is None:
        # Anybody who reaches the broker can write a message.
        return Refused("unknown")
    taker = claimed.taker(worker, queues=queues, lease_s=lease_s, process=process, models=models or {})
    answer = lane.claims({"actor": worker, "taker": taker}, {"job": str(job), "token": str(token or ids.uuid7())})
    if "refused" in answer:
        return Refused(answer["refused"])
    try:
        return claimed.read(answer)
    except LostLease:
        return Refused("lost")
