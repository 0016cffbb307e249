"""Write down a new run, unless too many wait already."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DataError

from agentapp import conf
from agentapp.errors import AskedBefore, InvalidInput, KeyUsedOtherwise
from agentapp.lifecycle import database, owned
from agentapp.lifecycle.opened import Claimed, Opened
from agentapp.models import IdempotencyKey, Workflow
from agentapp.policies.intake import QueuePressure


def submit(
    workflow: Workflow, *, stages: list[dict[str, Any]], actor: str, deadline_s: float | None = None,
    request: NamedRequest | None = None,
) -> tuple[Opened, QueuePressure]:  # fmt: skip
    """Store a task with its plan and open its first stage, in one round trip and one commit.

    `workflow` is not saved before; afterwards it says what the database made of it. `stages` is what `flows.plan`
    returned. Returns what to publish, and how many tasks wait. Where the pressure says that it was refused, nothing is
    stored.

    Raises:
        InvalidInput: its first stage cannot be opened with this input; nothing is stored.
        AskedBefore, KeyUsedOtherwise: the request was made already, or its name stands for another one.
    """
    try:
        answer = database.call(
            "submit", id=workflow.pk, tenant=workflow.tenant_id, api_key=workflow.api_key_id, user=workflow.user_id,
            actor=actor, kind=workflow.kind, version=workflow.version, priority=workflow.priority, input=workflow.input,
            labels=workflow.labels, stages=database.Jsonb(stages), result_bind=workflow.result_bind,
            deadline_s=deadline_s, run_at=workflow.run_at, callback_url=workflow.callback_url, origin=workflow.origin,
            parent=workflow.parent, traceparent=workflow.traceparent, **of_request(request), **marks(),
        )  # fmt: skip
    except DataError as error:
        raise cannot_open(error, stages[0]["name"]) from error
    check_known(answer)
    if "refused" in answer:
        return Opened(), QueuePressure.of(answer)
    workflow.state, workflow.position = answer["state"], answer["position"]
    workflow.stages_total, workflow.jobs_total = answer["stages_total"], answer["jobs_total"]
    workflow.created_at = datetime.fromisoformat(answer["created_at"])
    if answer["deadline_at"]:
        workflow.deadline_at = datetime.fromisoformat(answer["deadline_at"])
    return Opened.of(answer), QueuePressure.of(answer["pressure"])


def child(
    task_id: UUID, job: Claimed, *, kind: str, version: int, input: dict[str, Any], stages: list[dict[str, Any]],
    result_bind: dict[str, Any], actor: str,
) -> Opened:  # fmt: skip
    """Store a task that a running job runs as a part of its own task, once; return what to publish.

    Raises:
        LostLease, Cancelled: the job is no longer this attempt's; nothing is stored.
        InvalidInput: its first stage cannot be opened with this input; nothing is stored.
    """
    try:
        answer = database.call(
            "submit_child", id=task_id, job=job.id, token=job.token, actor=actor, kind=kind, version=version,
            input=input, stages=database.Jsonb(stages), result_bind=result_bind,
        )  # fmt: skip
    except DataError as error:
        raise cannot_open(error, stages[0]["name"]) from error
    owned.check(job, answer)
    return Opened() if answer.get("status") == "known" else Opened.of(answer)


@dataclass(frozen=True)
class NamedRequest:
    """A client's own name for a request, and a digest of what it asks for."""

    key: str
    sha256: str


def of_request(request: NamedRequest | None) -> dict[str, str]:
    return {"request_key": request.key, "request_sha256": request.sha256} if request else {}


def check_new(request: NamedRequest, *, tenant_id: int) -> None:
    """Raises AskedBefore, KeyUsedOtherwise where the request was made already. `submit` decides; this only comes first
    where something slow or passing, such as a look-up of a name, would be asked before it."""
    known = IdempotencyKey.objects.filter(tenant_id=tenant_id, key=request.key).first()
    if known is not None:
        check_known({"known": str(known.workflow_id), "same": known.request_sha256 == request.sha256})


def check_known(answer: dict[str, Any]) -> None:
    """Raises AskedBefore, KeyUsedOtherwise where a move knows the name of its request already."""
    if "known" in answer:
        if not answer["same"]:
            raise KeyUsedOtherwise("This Idempotency-Key stands for another request. Use a new one.")
        raise AskedBefore(UUID(answer["known"]))


def marks() -> dict[str, int]:
    """How many tasks may wait where no gate says otherwise."""
    return {"soft_mark": conf.soft_mark(), "hard_mark": conf.hard_mark(), "tenant_mark": conf.tenant_mark()}


def cannot_open(error: DataError, stage: str) -> InvalidInput:
    """Say why the first stage of a new task could not be opened with its input; nothing is stored."""
    return InvalidInput.at("input", database.refusal(error) or f"The stage {stage} cannot be opened with this input.")
