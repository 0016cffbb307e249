"""The ledger of effects: sent -> confirmed | unknown"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.errors import LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Effect
from agentapp.states import EffectState


@dataclass(frozen=True)
class Entry:
    """What the ledger knows: `status` is "begun" for a new key, else the state that an earlier attempt left."""

    id: UUID
    status: str
    request_sha256: str
    response: dict[str, Any] | None


def begin(job: Claimed, key: str, *, type: str, request_sha256: str, again: bool = False) -> Entry:
    """Write down, before the provider is called, that `key` is about to be sent. One synchronous commit.

    `again`: the provider was asked about an earlier call and has not seen it.

    Raises:
        LostLease: the job is somebody else's now, so this attempt may not send.
    """
    answer = database.call(
        "begin_effect",
        {
            "job": str(job.id), "token": str(job.token), "workflow": str(job.workflow_id), "tenant": job.tenant_id,
            "key": key, "type": type, "request_sha256": request_sha256, "again": again,
        },
    )  # fmt: skip
    if answer["status"] == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} no longer owns it and must not send.")
    return Entry(
        UUID(answer["id"]), answer["status"], answer.get("request_sha256", request_sha256), answer.get("response")
    )


def withdraw(entry: Entry) -> None:
    """The provider refused, or was never reached: it is certain that nothing was sent."""
    Effect.objects.filter(pk=entry.id).exclude(state=EffectState.CONFIRMED).update(state=EffectState.PREPARED)


def mark_unknown(entry: Entry) -> None:
    """It may or may not have happened, and nobody can be asked."""
    Effect.objects.filter(pk=entry.id).exclude(state=EffectState.CONFIRMED).update(state=EffectState.UNKNOWN)
