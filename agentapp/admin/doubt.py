"""What an effect of unknown outcome would have sent, for the person who finds out whether it arrived. [D7]"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentapp.admin import cells, evidence
from agentapp.admin.hidden_characters import Stretch
from agentapp.ids import parsed
from agentapp.models import Approval, Effect, Job
from agentapp.policies.content import canonical_sha256

_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Doubt:
    """An effect with the lines of what it sends, recipient and subject first; `is_exact`: its hash is that of what was
    sent."""

    effect: Effect
    head: list[tuple[str, list[Stretch]]]
    is_exact: bool


def of(effects: list[Effect]) -> list[Doubt]:
    """Say of each effect what it would have sent, as far as its job tells."""
    jobs = {job.pk: job for job in Job.objects.filter(pk__in=[effect.job_id for effect in effects])}
    return [_one(effect, jobs.get(effect.job_id)) for effect in effects]


def _one(effect: Effect, job: Job | None) -> Doubt:
    content = _content(job) if job and job.tenant_id == effect.tenant_id else {}
    is_exact = bool(content) and canonical_sha256(content) == effect.request_sha256
    lines = {name: cells.headline(value, limit=_MOST_CHARACTERS) for name, value in content.items() if name != "body"}
    return Doubt(effect, evidence.shown(lines)["head"] if lines else [], is_exact)


def _content(job: Job) -> dict[str, Any]:
    """What a job was given to send: what was approved, or its payload."""
    payload = job.payload if isinstance(job.payload, dict) else {}
    if approval_id := parsed(payload.get("approval_id")):
        found = Approval.objects.filter(pk=approval_id, tenant_id=job.tenant_id).first()
        return found.content if found and isinstance(found.content, dict) else {}
    return payload
