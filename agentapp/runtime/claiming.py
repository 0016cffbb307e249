"""What this worker claims: the job of a message, or at once the jobs of all messages that came together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from uuid import UUID

from agentapp import conf, registry
from agentapp.ids import uuid7
from agentapp.lifecycle.claim import claim, claim_all
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.lifecycle.requests import Taker
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime.heartbeat import heartbeat
from agentapp.runtime.patience import patiently
from agentapp.runtime.process import this


@dataclass(frozen=True)
class PendingClaim:
    """A claim under a token of its own. `result`: what it came to, None where it is still to be made.

    `since_s`: since when it is to be made, on the monotonic clock.
    """

    job_id: str
    token: UUID = field(default_factory=uuid7)
    result: Claimed | Refused | None = None
    since_s: float = field(default_factory=time.monotonic, compare=False)


def claim_together(job_ids: Sequence[str]) -> list[PendingClaim]:
    """Claim jobs in one move. What it passes over, or fails at, is left to the run of each job. Never raises."""
    claims = [PendingClaim(job_id) for job_id in job_ids]
    if this.draining:
        return claims
    # Whatever the error was: each job's own claim meets it again and handles it.
    with faults.caught(*Fault):
        results = claim_all([(pending.job_id, pending.token) for pending in claims], taker=taker())
        return [replace(pending, result=result) for pending, result in zip(claims, results, strict=True)]
    return claims


def result_of(pending: PendingClaim) -> Claimed | Refused:
    """What a claim comes to; made now, where it was not yet, and made again where it may be lost.

    Raises Unavailable when this worker drains meanwhile.
    """
    if pending.result is not None and not _may_be_lost(pending):
        return pending.result
    return patiently(lambda: _claim(pending))


def _claim(pending: PendingClaim) -> Claimed | Refused:
    mine = taker()
    return claim(
        pending.job_id, token=pending.token, worker=mine.worker, queues=mine.queues, lease_s=mine.lease_s,
        process=mine.process, models=mine.models, asking=mine.asking,
    )  # fmt: skip


def _may_be_lost(pending: PendingClaim) -> bool:
    """Whether it has waited long for a thread: nobody renews its lease before that, and others may have the job."""
    return isinstance(pending.result, Claimed) and time.monotonic() - pending.since_s > conf.heartbeat_s()


def taker() -> Taker:
    """This worker, as the moves that hand out leases need it."""
    return Taker(this.actor, this.queues, conf.lease_s(), heartbeat.key(), models(), asking())


def models() -> dict[str, str]:
    """The models that the job types of this worker call."""
    return _models(conf.model_name(), conf.embedding_model(), this.queues, len(registry.job_types))


def asking() -> tuple[str, ...]:
    """The job types of this worker whose model people may choose."""
    return _asking(this.queues, len(registry.job_types))


@lru_cache(maxsize=4)
def _asking(queues: tuple[str, ...], known: int) -> tuple[str, ...]:
    return tuple(name for name in registry.asking() if registry.job_types[name].queue in queues)


@lru_cache(maxsize=4)
def _models(chat: str, embedding: str, queues: tuple[str, ...], known: int) -> dict[str, str]:
    """`known` is how many job types there are: those of extensions come later."""
    called = registry.models(chat=chat, embedding=embedding)
    return {name: model for name, model in called.items() if registry.job_types[name].queue in queues}
