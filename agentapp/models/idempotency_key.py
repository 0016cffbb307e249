"""What a client calls a request, so that it is done once however often it is sent."""

from __future__ import annotations

from django.db import models

from agentapp.models.tenant import Tenant


class IdempotencyKey(models.Model):
    """Written in the transaction that stores the task, so there is never one without the other."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    request_sha256 = models.CharField(max_length=64, help_text="the same key with another request is a mistake")
    workflow_id = models.UUIDField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("tenant", "key"), name="idempotency_key_once"),)
        indexes = (models.Index(fields=("created_at",), name="idempotency_key_age"),)  # Pruner.

    def __str__(self) -> str:
        return f"{self.key} of {self.tenant_id}"
