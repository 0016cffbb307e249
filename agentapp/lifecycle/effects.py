"""The ledger of effects: prepared -> sent -> confirmed | unknown"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from agentapp.errors import LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.states import EffectState


@dataclass(frozen=True)
class Entry:
    """What the ledger knows. `status` is "begun" where this attempt may send, as number `sends`; "sending" while
    another sender holds its lease, `until` then; else the state that an earlier send left.
    """

    id: UUID
    status: str
    sends: int
    request_sha256: str
    response: dict[str, Any] | None
    until: datetime | None = None


def begin(job: Claimed, key: str, *, type: str, request_sha256: str, asked: Entry | None = None) -> Entry:
    """Write down, before the provider is called, that `key` is about to be sent. One synchronous commit.

    `asked`: the provider was asked about this earlier send and has not seen it.

    Raises:
        LostLease: the job is somebody else's now, so this attempt may not send.
    """
    answer = database.call(
        "begin_effect",
        {
            "job": str(job.id), "token": str(job.token), "workflow": str(job.workflow_id), "tenant": job.tenant_id,
            "key": key, "type": type, "request_sha256": request_sha256, "asked_sends": asked.sends if asked else None,
        },
    )  # fmt: skip
    if answer["status"] == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} no longer owns it and must not send.")
    until = answer.get("until")
    return Entry(
        UUID(answer["id"]), answer["status"], answer["sends"], answer.get("request_sha256", request_sha256),
        answer.get("response"), datetime.fromisoformat(until) if until else None,
    )  # fmt: skip


def withdraw(job: Claimed, entry: Entry) -> None:
    """This attempt's send has certainly changed nothing. A later send is left as it is."""
    _end_send(entry, EffectState.PREPARED, token=str(job.token))


def mark_unknown(job: Claimed, entry: Entry) -> bool:
    """Nobody can tell whether a send happened: this attempt's own, or an earlier one that it has found. False when it
    is no longer the latest one, or is on its way.
    """
    proof = {"token": str(job.token)} if entry.status == "begun" else {"job": str(job.id)}
    return _end_send(entry, EffectState.UNKNOWN, **proof)


def _end_send(entry: Entry, to: EffectState, **proof: str) -> bool:
    asked = {"effect": str(entry.id), "sends": entry.sends, "to": to.value, **proof}
    return bool(database.call("end_send", asked)["status"] == "ok")
