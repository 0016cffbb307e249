"""Submitting tasks and looking at them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pydantic
from django.db.models import QuerySet

from agentapp import conf, flows, registry
from agentapp.dispatch import publisher
from agentapp.errors import InvalidInput, NotFound
from agentapp.ids import uuid7
from agentapp.lifecycle import mend
from agentapp.lifecycle.submit import submit as write_down
from agentapp.models import Approval, Job, Workflow
from agentapp.policies import priority as priorities
from agentapp.services.principals import Principal, owner
from agentapp.states import ApprovalState, JobState

MAX_LABELS = 20
MAX_LABEL_CHARACTERS = 100


def submit(
    principal: Principal,
    *,
    kind: str,
    input: Any,
    priority: str = "normal",
    labels: dict[str, str] | None = None,
    tenant_id: int | None = None,
) -> Workflow:
    """Accept a task: checked, written down and committed; then published, if the broker is there.

    One round trip to Postgres. The newest version of the kind is taken, and the run keeps it.

    Raises:
        InvalidInput: unknown kind, or an input, priority or label that does not fit; nothing is stored.
        PermissionDenied: the scope tasks:write is missing.
    """
    principal.require("tasks:write")
    flow = registry.latest_flow(kind)
    if flow is None:
        known = ", ".join(registry.kinds())
        raise InvalidInput(f"There is no task kind {kind!r}. Choose one of: {known}.", errors=[
            {"field": "kind", "message": f"must be one of: {known}"}])  # fmt: skip
    if priority not in priorities.NAMES:
        names = ", ".join(priorities.NAMES)
        raise InvalidInput(f"There is no priority {priority!r}. Choose one of: {names}.", errors=[
            {"field": "priority", "message": f"must be one of: {names}"}])  # fmt: skip
    tenant = tenant_id or principal.tenant_id
    if tenant is None or (principal.tenant_ids is not None and tenant not in principal.tenant_ids):
        raise InvalidInput("Say for which workspace the task is.")
    data = check_input(flow, input)
    workflow = Workflow(
        id=uuid7(), tenant_id=tenant, kind=kind, version=flow.version, priority=priorities.by_name(priority),
        input=data, labels=check_labels(labels or {}), **owner(principal),
    )  # fmt: skip
    opened = write_down(
        workflow_id=workflow.id, tenant_id=tenant, actor=principal.actor, kind=kind, version=flow.version,
        priority=workflow.priority, input=data, labels=workflow.labels, stages=flows.plan(flow),
        result_bind=flows.paths_of(flow.result), **owner(principal),
    )  # fmt: skip
    publisher.publish(opened)
    return workflow


def check_input(flow: flows.Flow, input: Any) -> dict[str, Any]:
    """Return the input as its workflow kind takes it.

    Raises:
        InvalidInput: with one entry in `errors` per field.
    """
    if not isinstance(input, dict):
        raise InvalidInput("The input must be a JSON object.", errors=[
            {"field": "input", "message": "must be an object"}])  # fmt: skip
    if len(json.dumps(input)) > conf.max_input_bytes():
        raise InvalidInput(f"The input is larger than {conf.max_input_bytes()} bytes. Load long texts as documents.")
    try:
        return flow.input.model_validate(input).model_dump(mode="json")
    except pydantic.ValidationError as error:
        errors = [
            {"field": ".".join(["input", *map(str, item["loc"])]), "message": item["msg"]} for item in error.errors()
        ]
        raise InvalidInput(
            f"The input does not fit the task kind {flow.kind}: "
            + "; ".join(f"{item['field']}: {item['message']}" for item in errors),
            errors=errors,
        ) from error


def check_labels(labels: Any) -> dict[str, str]:
    """Return labels: at most twenty short strings by name. Raises InvalidInput."""
    if not isinstance(labels, dict) or len(labels) > MAX_LABELS:
        raise InvalidInput(f"Labels must be an object with at most {MAX_LABELS} entries.", errors=[
            {"field": "labels", "message": f"must be an object with at most {MAX_LABELS} entries"}])  # fmt: skip
    for name, value in labels.items():
        if not isinstance(value, str) or max(len(name), len(value)) > MAX_LABEL_CHARACTERS or "\x00" in name + value:
            raise InvalidInput(
                f"The label {name[:100]!r} must be a text of at most {MAX_LABEL_CHARACTERS} characters.",
                errors=[{"field": f"labels.{name[:100]}", "message": "must be a short text"}],
            )
    return labels


def listing(principal: Principal) -> QuerySet[Workflow]:
    """The tasks that the principal may see, newest first."""
    principal.require("tasks:read")
    return principal.visible(Workflow.objects.all()).select_related("tenant").order_by("-id")


def get(principal: Principal, workflow_id: UUID) -> Workflow:
    """Raises NotFound; another tenant's task is as unknown as one that does not exist."""
    workflow = listing(principal).filter(pk=workflow_id).first()
    if workflow is None:
        raise NotFound(f"There is no task {workflow_id} in this workspace.")
    return workflow


def jobs(principal: Principal, workflow_id: UUID) -> QuerySet[Job]:
    """The jobs of a task in the order of its plan."""
    workflow = get(principal, workflow_id)
    return Job.objects.filter(workflow=workflow).select_related("stage").order_by("stage__position", "part")


def cancel(principal: Principal, workflow_id: UUID, *, reason: str) -> Workflow:
    """End a task. Raises IllegalMove when it is over already."""
    principal.require("tasks:write")
    workflow = get(principal, workflow_id)
    mend.cancel(workflow.pk, actor=principal.actor, reason=reason or "cancelled")
    return get(principal, workflow_id)


def blocked_by(workflow: Workflow) -> list[dict[str, Any]]:
    """Say why a task waits: a person, a dead letter, a retry time, a queue. Empty while it runs or is over."""
    if workflow.finished_at is not None:
        return []
    waiting = Approval.objects.filter(workflow=workflow, state=ApprovalState.PENDING)
    reasons: list[dict[str, Any]] = [
        {"type": "approval", "id": str(approval.pk), "expires_at": approval.expires_at} for approval in waiting
    ]
    states = (JobState.DEAD_LETTERED, JobState.RETRYABLE, JobState.SCHEDULED, JobState.AVAILABLE)
    for job in Job.objects.filter(workflow=workflow, state__in=states).order_by("id")[:20]:
        reasons.append(_why(job))
    return reasons


def _why(job: Job) -> dict[str, Any]:
    if job.state == JobState.DEAD_LETTERED:
        return {
            "type": "dead_letter",
            "id": str(job.pk),
            "job_type": job.type,
            "error": (job.error or {}).get("message"),
        }
    if job.state == JobState.AVAILABLE:
        return {"type": "queue", "queue": job.queue, "job": str(job.pk), "since": job.available_at}
    return {
        "type": "retry",
        "job": str(job.pk),
        "job_type": job.type,
        "attempt": job.attempt,
        "until": job.scheduled_at,
    }
