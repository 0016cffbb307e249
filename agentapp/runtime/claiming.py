"""What this worker claims: the job of a message, or at once the jobs of all messages that came together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

from agentapp import conf, registry
from agentapp.ids import uuid7
from agentapp.lifecycle.claim import claim, claim_all
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime.heartbeat import heartbeat
from agentapp.runtime.patience import patiently
from agentapp.runtime.process import this


@dataclass(frozen=True)
class Ask:
    """A claim under a token of its own. `answer`: what it came to, None where it is still to be made."""

    job_id: str
    token: UUID = field(default_factory=uuid7)
    answer: Claimed | Refused | None = None


def ask_all(job_ids: Sequence[str]) -> list[Ask]:
    """Claim jobs in one move. What it passes over, or fails at, is left to the run of each job. Never raises."""
    asks = [Ask(job_id) for job_id in job_ids]
    if this.draining:
        return asks
    # Whatever it was, the run of each job meets it again, and minds it.
    with faults.caught(*Fault):
        answers = claim_all([(ask.job_id, ask.token) for ask in asks], **_taker())
        return [Ask(ask.job_id, ask.token, answer) for ask, answer in zip(asks, answers, strict=True)]
    return asks


def answered(ask: Ask) -> Claimed | Refused:
    """What a claim comes to; made now, where it was not yet. Raises Unavailable when this worker drains meanwhile."""
    if ask.answer is not None:
        return ask.answer
    return patiently(lambda: claim(ask.job_id, token=ask.token, **_taker()))


def _taker() -> dict[str, Any]:
    return {
        "worker": this.actor, "queues": this.queues, "lease_s": conf.lease_s(), "process": heartbeat.key(),
        "models": models(),
    }  # fmt: skip


def models() -> dict[str, str]:
    """The models that the job types of this worker call."""
    return _models(conf.model_name(), conf.embedding_model(), this.queues, len(registry.job_types))


@lru_cache(maxsize=4)
def _models(chat: str, embedding: str, queues: tuple[str, ...], known: int) -> dict[str, str]:
    """`known` is how many job types there are: those of extensions come later."""
    called = registry.models(chat=chat, embedding=embedding)
    return {name: model for name, model in called.items() if registry.job_types[name].queue in queues}
