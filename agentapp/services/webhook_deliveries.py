"""What was sent to receivers of webhooks, what became of it, and sending it again."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.db.models import QuerySet

from agentapp.dispatch import publisher
from agentapp.errors import IllegalMove, NotFound
from agentapp.lifecycle import webhook_events as moves
from agentapp.lifecycle.cancel import cancel
from agentapp.models import WebhookDelivery, Workflow
from agentapp.services import webhooks
from agentapp.services.principals import Principal


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


def resend(principal: Principal, delivery_id: UUID) -> WebhookDelivery:
    """Send an event once more, at once and under the same webhook-id, as a delivery of its own. One that is still being
    tried, or is a dead letter, is cancelled for it.

    Raises:
        NotFound: there is no such delivery.
        IllegalMove: its endpoint is disabled.
    """
    principal.require(webhooks.WRITE)
    earlier = get(principal, delivery_id)
    principal.require(webhooks.WRITE, earlier.tenant_id)
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
