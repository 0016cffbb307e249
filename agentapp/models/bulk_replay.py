"""Many dead letters of one kind, replayed together."""

from __future__ import annotations

from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.states import BulkReplayState


class BulkReplay(models.Model):
    """First `canary` of them, then, if those did well, the rest by `batch`; it stops itself when too many fail again.

    `waiting` are the jobs that are not replayed yet, `replayed` those that are under way: lists of job ids. `selection`
    is {fingerprint | type, job_type, total, left_out}.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    state = models.CharField(max_length=10, choices=BulkReplayState, default=BulkReplayState.CANARY)
    selection = models.JSONField(help_text="what was asked for, such as a fingerprint")
    waiting = models.JSONField(default=list)
    replayed = models.JSONField(default=list)
    succeeded = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    canary = models.IntegerField()
    batch = models.IntegerField()
    actor = models.CharField(max_length=200)
    reason = models.TextField(blank=True, help_text="why it was aborted")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (
            # Dispatcher: what goes on.
            models.Index(fields=("id",), condition=models.Q(finished_at=None), name="bulk_replay_open"),
        )

    def __str__(self) -> str:
        return f"bulk replay {self.id}"
