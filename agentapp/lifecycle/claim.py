"""available -> running"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed, Refused


def claim(job_id: str, *, worker: str, queues: Sequence[str], lease_s: float) -> Claimed | Refused:
    """Take a job if it is available, is of one of this worker's classes, and its principal may still act.

    One round trip. Counts the attempt. A permission that is missing makes the job a dead letter.
    """
    try:
        job = str(UUID(str(job_id)))
    except ValueError:
        # Anybody who reaches the broker can write a message.
        return Refused("unknown")
    answer = database.call(
        "agentapp_claim_v1", {"job": job, "worker": worker, "queues": list(queues), "lease_s": lease_s}
    )
    return Refused(answer["refused"]) if "refused" in answer else Claimed.of(answer)
