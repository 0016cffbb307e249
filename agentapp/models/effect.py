"""Writes to the outside world, each recorded under its idempotency key."""

from __future__ import annotations

from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.states import EffectState


class Effect(models.Model):
    """`sent` as its call begins, `confirmed` by the answer.

    A crash between sent and confirmed leaves it `sent`; the next attempt asks the provider under the same key, and
    where that is not possible it becomes `unknown` and waits for a person. `prepared` again means: whatever was begun
    has certainly changed nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No database constraint: a check per insert, and a lock on the tenant's row.
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    key = models.CharField(max_length=200)
    type = models.CharField(max_length=50, help_text="mail, ...")
    state = models.CharField(max_length=10, choices=EffectState, default=EffectState.PREPARED)
    # No database constraints: the ledger outlives the jobs that wrote it.
    workflow_id = models.UUIDField()
    job_id = models.UUIDField()
    request_sha256 = models.CharField(max_length=64)
    response = models.JSONField(null=True, blank=True)
    sends = models.PositiveSmallIntegerField(default=0, help_text="how often the provider was called")
    sender = models.UUIDField(null=True, blank=True, help_text="the lease token of the attempt that began a send")
    sender_sends = models.SmallIntegerField(null=True, blank=True, help_text="the number of the send that it began")
    unfinished = models.JSONField(
        null=True, blank=True, help_text="earlier sends of which nobody knows the end: number to sender"
    )
    returned_sends = models.SmallIntegerField(null=True, blank=True, help_text="the send whose call came back in doubt")
    returned_at = models.DateTimeField(null=True, blank=True)
    earlier_until = models.DateTimeField(null=True, blank=True, help_text="until when an earlier send may arrive")
    restored_at = models.DateTimeField(
        null=True, blank=True, help_text="it may have been sent, under another id, before a backup was restored then"
    )
    prepared_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            # INV2: an effect happens once per (tenant, key).
            models.UniqueConstraint(fields=("tenant", "key"), name="effect_once"),
            models.CheckConstraint(condition=models.Q(state__in=EffectState.values), name="effect_state_known"),
        )
        indexes = (models.Index(fields=("workflow_id",), name="effect_of_workflow"),)

    def __str__(self) -> str:
        return f"{self.type} {self.key}"
