"""available -> running"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from agentapp import ids
from agentapp.errors import LostLease
from agentapp.lifecycle import claimed, lane
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.lifecycle.requests import ClaimRequest, Taker

# Anybody who reaches the broker can write a message.
UNKNOWN = {"refused": "unknown"}


def claim(
    job_id: str,
    *,
    worker: str,
    queues: Sequence[str],
    lease_s: float,
    process: int | None = None,
    token: UUID | None = None,
    models: Mapping[str, str] | None = None,
    asking: Sequence[str] = (),
) -> Claimed | Refused:
    """Take a job if it is available, is of one of this worker's classes, its principal may still act, and all of its
    gates let it pass.

    One round trip. Counts the attempt. A permission that is missing makes the job a dead letter; a gate in its way
    parks it. `models` says which model a job type calls here: that one's gate counts. For the
    job types `asking` people may have chosen another one. `token` is new for
    each claim; the same one once more, after an answer that was lost, finds what the first call did. `process` is the
    advisory lock that this process holds, or None while it holds none: its death is then noticed by the lease alone.
    """
    job = ids.parsed(job_id)
    if job is None:
        return _read(UNKNOWN)
    taker = Taker(worker, queues, lease_s, process, models or {}, asking)
    request = ClaimRequest(str(job), str(token or ids.uuid7()))
    return _read(lane.claims(request, actor=worker, taker=taker))


def claim_all(claims: Sequence[tuple[str, UUID]], *, taker: Taker) -> list[Claimed | Refused | None]:
    """Do the same for several jobs in one move, each under a token. None: somebody else holds its task.

    Raises like database.call, for all of them. `claim` under the same tokens finds what the move has done.
    """
    parsed = [ids.parsed(job_id) for job_id, _ in claims]
    requests = [ClaimRequest(str(job), str(token)) for job, (_, token) in zip(parsed, claims, strict=True) if job]
    made = iter(lane.claims.of_list(requests, actor=taker.worker, taker=taker))
    answers = [next(made) if job else UNKNOWN for job in parsed]
    return [_read(answer) if answer else None for answer in answers]


def _read(answer: dict[str, Any]) -> Claimed | Refused:
    if "refused" in answer:
        return Refused(answer["refused"])
    try:
        return claimed.read(answer)
    except LostLease:
        return Refused("lost")
