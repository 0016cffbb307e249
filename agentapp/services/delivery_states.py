"""How far webhook deliveries have come: read from their workflow and their log, and stored nowhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, TextField, Value, When
from django.db.models.fields.json import KT

from agentapp.models import Job, WebhookDelivery, Workflow
from agentapp.states import WORKFLOW_FINAL, DeliveryState, JobState, WorkflowState

# What a delivery that was tried can end with.
OUTCOMES = (DeliveryState.DELIVERED, DeliveryState.GONE, DeliveryState.SKIPPED)
BY_HAND = "A person resolved it."

_TASK = Workflow.objects.filter(pk=OuterRef("workflow_id"))
_JOB = Job.objects.filter(workflow=OuterRef("workflow_id"))
_ARRIVED = Q(**{"log__-1__status__gte": 200, "log__-1__status__lte": 299})


@dataclass(frozen=True)
class Progress:
    """How far a delivery has come; `reason` is a sentence, or empty."""

    state: DeliveryState
    reason: str = ""
    next_attempt_at: datetime | None = None


def matching(rows: QuerySet[WebhookDelivery], states: Collection[str]) -> QuerySet[WebhookDelivery]:
    """Leave the deliveries that are in one of these states; without any, all."""
    return _with_states(rows).filter(state__in=states) if states else rows


def progress(rows: list[WebhookDelivery]) -> dict[UUID, Progress]:
    """Say how far these deliveries have come. One statement for any number."""
    found = _with_states(WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows])).annotate(
        said=Subquery(_TASK.values(said=KT("result__reason"))[:1]),
        ended_by=Subquery(_TASK.values(ended_by=KT("error__message"))[:1]),
        failed_by=Subquery(_JOB.values(failed_by=KT("error__message"))[:1]),
        due_at=Subquery(_JOB.filter(state=JobState.RETRYABLE).values("scheduled_at")[:1]),
    )
    return {row.pk: _progress(vars(row)) for row in found}


def _progress(found: dict[str, Any]) -> Progress:
    state = DeliveryState(found["state"])
    if found["task_state"] == WorkflowState.COMPLETED:
        return Progress(state, (found["said"] or "") if found["outcome"] in OUTCOMES else BY_HAND)
    if found["task_state"] in WORKFLOW_FINAL:
        return Progress(state, found["ended_by"] or "")
    return Progress(state, found["failed_by"] or "", found["due_at"])


def _with_states(rows: QuerySet[WebhookDelivery]) -> QuerySet[Any]:
    """Add the state of each delivery, and what it follows from."""
    return rows.annotate(
        task_state=Subquery(_TASK.values("state")[:1]),
        # A person who resolves a dead letter enters what they like.
        outcome=Subquery(_TASK.values(outcome=KT("result__outcome"))[:1], output_field=TextField()),
        job_state=Subquery(_JOB.values("state")[:1]),
        state=Case(
            # A workflow is deleted when its time is over.
            When(Q(task_state=None) & _ARRIVED, then=Value(DeliveryState.DELIVERED)),
            When(task_state=None, then=Value(DeliveryState.CANCELLED)),
            When(task_state=WorkflowState.COMPLETED, outcome__in=OUTCOMES, then=F("outcome")),
            When(task_state=WorkflowState.COMPLETED, then=Value(DeliveryState.SKIPPED)),
            When(task_state__in=WORKFLOW_FINAL, then=Value(DeliveryState.CANCELLED)),
            When(task_state=WorkflowState.NEEDS_ATTENTION, then=Value(DeliveryState.DEAD_LETTERED)),
            When(Q(job_state=JobState.RETRYABLE) | ~Q(log=[]), then=Value(DeliveryState.RETRYING)),
            default=Value(DeliveryState.PENDING),
            output_field=TextField(),
        ),
    )
