"""What was sent to receivers of webhooks, what became of it, and sending it again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp.dispatch import publisher
from agentapp.errors import IllegalMove, NotFound
from agentapp.lifecycle import webhook_events as moves
from agentapp.lifecycle.cancel import cancel
from agentapp.models import Job, WebhookDelivery, Workflow
from agentapp.services import webhooks
from agentapp.services.principals import Principal
from agentapp.states import WORKFLOW_FINAL, JobState, WorkflowState


class Fate(StrEnum):
    """What became of a delivery, in a word."""

    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    GONE = "gone"
    SKIPPED = "skipped"
    DEAD_LETTERED = "dead_lettered"
    CANCELLED = "cancelled"


# What a delivery that was tried can end with.
OUTCOMES = (Fate.DELIVERED, Fate.GONE, Fate.SKIPPED)


@dataclass(frozen=True)
class Progress:
    """How far a delivery has come; `reason` is a sentence, or empty."""

    fate: Fate
    reason: str = ""
    next_attempt_at: datetime | None = None


def listing(principal: Principal) -> QuerySet[WebhookDelivery]:
    """The deliveries that the principal may see, newest first."""
    principal.require(webhooks.READ)
    rows = principal.visible(WebhookDelivery.objects.all())
    return rows.select_related("event", "endpoint", "tenant").order_by("-id")


def of_endpoint(principal: Principal, endpoint_id: UUID) -> QuerySet[WebhookDelivery]:
    """Those of one endpoint. Raises NotFound."""
    return listing(principal).filter(endpoint=webhooks.get(principal, endpoint_id))


def get(principal: Principal, delivery_id: UUID) -> WebhookDelivery:
    """Raises NotFound."""
    found = listing(principal).filter(pk=delivery_id).first()
    if found is None:
        raise NotFound(f"This tenant has no webhook delivery {delivery_id}.")
    return found


def progress(rows: list[WebhookDelivery]) -> dict[UUID, Progress]:
    """Say how far these deliveries have come. Two statements for any number."""
    workflows = Workflow.objects.in_bulk([row.workflow_id for row in rows])
    open_ones = [task.pk for task in workflows.values() if task.state not in WORKFLOW_FINAL]
    jobs = {job.workflow_id: job for job in Job.objects.filter(workflow__in=open_ones)} if open_ones else {}
    return {row.pk: _progress(row, workflows.get(row.workflow_id), jobs.get(row.workflow_id)) for row in rows}


def _progress(row: WebhookDelivery, task: Workflow | None, job: Job | None) -> Progress:
    if task is None:
        # Its workflow was deleted when its time was over.
        arrived = bool(row.log) and 200 <= (row.log[-1]["status"] or 0) <= 299
        return Progress(Fate.DELIVERED if arrived else Fate.CANCELLED)
    if task.state == WorkflowState.COMPLETED:
        return _ended(task.result or {})
    if task.state in WORKFLOW_FINAL:
        return Progress(Fate.CANCELLED, (task.error or {}).get("message") or "")
    words = ((job.error if job else None) or {}).get("message") or ""
    if task.state == WorkflowState.NEEDS_ATTENTION:
        return Progress(Fate.DEAD_LETTERED, words)
    if job is not None and job.state == JobState.RETRYABLE:
        return Progress(Fate.RETRYING, words, job.scheduled_at)
    return Progress(Fate.RETRYING if row.log else Fate.PENDING, words)


def _ended(result: dict[str, Any]) -> Progress:
    """Read how a delivery ended by itself. A person who resolves a dead letter enters what they like."""
    outcome, reason = result.get("outcome"), result.get("reason")
    if outcome in OUTCOMES and isinstance(reason, str | None):
        return Progress(Fate(outcome), reason or "")
    return Progress(Fate.SKIPPED, "A person resolved it.")


def resend(principal: Principal, delivery_id: UUID) -> WebhookDelivery:
    """Send an event once more, at once and under the same webhook-id, as a delivery of its own. One that is still being
    tried, or is a dead letter, is cancelled for it.

    Raises:
        NotFound: there is no such delivery.
        IllegalMove: its endpoint is disabled.
    """
    principal.require(webhooks.WRITE)
    earlier = get(principal, delivery_id)
    if earlier.endpoint is not None:
        webhooks.enabled(earlier.endpoint)
    with suppress(IllegalMove):
        # It is over, or it was deleted: then there is nothing to cancel.
        if Workflow.objects.filter(pk=earlier.workflow_id).exists():
            cancel(earlier.workflow_id, actor=principal.actor, reason="sent again")
    return _sent(principal, moves.again(earlier))


def test(principal: Principal, endpoint_id: UUID) -> WebhookDelivery:
    """Send an event that nothing has caused to an endpoint. Raises NotFound, IllegalMove."""
    principal.require(webhooks.WRITE)
    return _sent(principal, moves.test_of(webhooks.enabled(webhooks.writable(principal, endpoint_id))))


def _sent(principal: Principal, delivery: WebhookDelivery) -> WebhookDelivery:
    publisher.publish(moves.write_down(delivery, task=delivery.event.workflow_id, actor=principal.actor))
    return delivery
