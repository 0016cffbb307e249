"""Who is told when something happens to a task, and what came of telling them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.policies import webhook_formats


class WebhookEndpoint(models.Model):
    """An address of a tenant. Its secret is kept nowhere: the service's own key and `salt` give it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="webhook_endpoints")
    url = models.TextField()
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(models.CharField(max_length=50), default=list, blank=True, help_text="empty: all")
    format = models.CharField(
        max_length=20,
        default=webhook_formats.AGENTAPP,
        db_default=webhook_formats.AGENTAPP,
        help_text="agentapp, slack or teams",
    )
    salt = models.BinaryField(max_length=32)
    generation = models.IntegerField(default=1, help_text="which secret: each rotation makes the next")
    previous_until = models.DateTimeField(null=True, blank=True, help_text="so long the secret before it signs too")
    is_enabled = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=300, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True, help_text="since when no delivery has arrived")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.url


class WebhookEvent(models.Model):
    """Written by the move itself, in its transaction. The dispatcher makes a delivery of it for each who wants it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    workflow_id = models.UUIDField()
    seq = models.IntegerField(help_text="of the change in the task's history")
    type = models.CharField(max_length=50)
    created_at = models.DateTimeField()
    spread_at = models.DateTimeField(null=True, blank=True, help_text="since when its deliveries are workflows")

    class Meta:
        indexes = (
            # Dispatcher: what is to be spread, the oldest of each tenant.
            models.Index(
                fields=("tenant", "created_at"), condition=models.Q(spread_at=None), name="webhook_event_fresh"
            ),
            # GET /webhook-deliveries?task=...
            models.Index(fields=("workflow_id",), name="webhook_event_task"),
            models.Index(fields=("spread_at",), name="webhook_event_age"),  # Pruner.
        )

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class WebhookDelivery(models.Model):
    """One event on its way to one address, by a workflow of its own."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="deliveries")
    # None: the callback_url of the task.
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, null=True, related_name="deliveries", db_index=False
    )
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    url = models.TextField()
    workflow_id = models.UUIDField()
    payload = models.JSONField(null=True, blank=True)
    log = models.JSONField(default=list, blank=True, help_text="each try: at, status, error, ms, answer")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "webhook deliveries"
        indexes = (
            # GET /webhook-endpoints/{id}/deliveries, newest first.
            models.Index(fields=("endpoint", "-id"), name="webhook_delivery_list"),
            # GET /webhook-deliveries, newest first.
            models.Index(fields=("tenant", "-id"), name="webhook_delivery_tenant"),
        )

    def __str__(self) -> str:
        return f"{self.event_id} to {self.url}"
