"""Many tasks or dead letters, dealt with one after the other by the dispatcher."""

from __future__ import annotations

from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.states import BulkCancellationState


class BulkOperation(models.Model):
    """What all of them have. `waiting` are the ids of those that are not dealt with yet: those that fitted when it was
    begun. `selection` is what was asked for, with `total`, and `left_out`: how many there were beyond the maximum."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    state = models.CharField(max_length=10)
    selection = models.JSONField(help_text="what was asked for, such as a fingerprint")
    waiting = models.JSONField(default=list)
    failed = models.IntegerField(default=0)
    actor = models.CharField(max_length=200)
    reason = models.TextField(blank=True, help_text="why it was aborted")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class BulkCancellation(BulkOperation):
    """The open tasks of a filter. `selection` is {filter, total, left_out}.

    `cancelled`, `skipped` and `failed` count what has become of those that no longer wait: `skipped` were over before
    their turn came, or are gone; `failed` could not be cancelled.
    """

    state = models.CharField(max_length=10, choices=BulkCancellationState, default=BulkCancellationState.RUNNING)
    cancelled = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)
    task_reason = models.TextField(blank=True, help_text="why the tasks are cancelled")

    class Meta:
        indexes = (
            # Dispatcher: what goes on.
            models.Index(fields=("id",), condition=models.Q(finished_at=None), name="bulk_cancellation_open"),
        )

    def __str__(self) -> str:
        return f"bulk cancellation {self.id}"
