"""The ledger of effects: sent -> confirmed | unknown | prepared"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from agentapp.errors import LostLease, PermissionDenied
from agentapp.lifecycle import database, lane
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.requests import EffectRequest
from agentapp.states import EffectState

# How long after the end of its call a send may still arrive at a provider.
LATE_S = 30.0


@dataclass(frozen=True)
class Entry:
    """What the ledger knows. `status` is "begun" where this attempt may send, as number `sends`, or "repeated" where it
    began that send before; "sending" while another sender holds its lease, "in flight" while an earlier send may still
    arrive, `until` then; else the state that an earlier send left.
    """

    id: UUID
    status: str
    sends: int
    request_sha256: str
    response: dict[str, Any] | None
    until: datetime | None = None
    # A backup was restored, which may lack a send: it was made under another id, with the same end.
    is_restored: bool = False


def begin(
    job: Claimed, key: str, *, type: str, request_sha256: str, asked: Entry | None = None, is_idempotent: bool = False,
    late_s: float = LATE_S,
) -> Entry:  # fmt: skip
    """Write down, before the provider is called, that `key` is about to be sent. One synchronous commit.

    `asked`: the provider was asked about this earlier send, when it could no longer arrive, and has not seen it.
    `is_idempotent`: the provider does one effect once, so that an earlier send is not waited for.

    Raises:
        LostLease: the job is somebody else's now, so this attempt may not send.
        PermissionDenied: who submitted the task may not act any more.
    """
    answer = lane.effects(EffectRequest(
        workflow=str(job.workflow_id), job=str(job.id), token=str(job.token), tenant=job.tenant_id, key=key, type=type,
        request_sha256=request_sha256, asked_sends=asked.sends if asked else None, is_idempotent=is_idempotent,
        late_s=late_s,
    ))  # fmt: skip
    if answer["status"] == "denied":
        raise PermissionDenied(answer["why"])
    if answer["status"] == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} no longer owns it and must not send.")
    return read(answer, request_sha256=request_sha256)


def read(answer: dict[str, Any], *, request_sha256: str) -> Entry:
    """What the answer of the move says of the effect, which is new under this hash unless another is told."""
    until = answer.get("until")
    return Entry(
        UUID(answer["id"]), answer["status"], answer["sends"], answer.get("request_sha256", request_sha256),
        answer.get("response"), datetime.fromisoformat(until) if until else None,
        bool(answer.get("is_restored")),
    )  # fmt: skip


def withdraw(job: Claimed, entry: Entry) -> None:
    """This attempt's send has certainly changed nothing. A later send is left as it is."""
    _end_send(entry, EffectState.PREPARED, token=job.token)


def came_back(job: Claimed, entry: Entry) -> None:
    """The call of this attempt's send has ended, and does not tell whether it has arrived."""
    _end_send(entry, EffectState.SENT, token=job.token)


def mark_unknown(job: Claimed, entry: Entry, *, late_s: float = LATE_S) -> bool:
    """Nobody can tell whether a send happened: this attempt's own, or an earlier one that it has found. False when it
    is no longer the latest one, or is on its way.
    """
    is_mine = entry.status in ("begun", "repeated")
    proof: dict[str, Any] = {"token": job.token} if is_mine else {"job": job.id, "late_s": late_s}
    return _end_send(entry, EffectState.UNKNOWN, **proof)


def confirm(job: Claimed, effects: list[dict[str, Any]]) -> None:
    """Record what providers have answered to an attempt that no settle records: its job is no longer its own.

    `effects` are [{"id", "response"}].
    """
    database.call("confirm_effects", job=job.id, token=job.token, effects=database.Jsonb(effects))


def _end_send(entry: Entry, to: EffectState, **proof: Any) -> bool:
    answer = database.call("end_send", effect=entry.id, sends=entry.sends, to=to.value, **proof)
    return bool(answer["status"] == "ok")
