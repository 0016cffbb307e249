"""Every state change, once: timeline, audit log and event stream."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from agentapp.models.workflow import Workflow


class History(models.Model):
    """Append-only. `seq` counts per task without gaps, because it is taken under the task's row lock."""

    pk = models.CompositePrimaryKey("workflow_id", "seq")
    # No database constraint: a check per insert on the hottest path; the pruner deletes history with its workflow.
    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="history", db_constraint=False, db_index=False
    )
    seq = models.IntegerField()
    at = models.DateTimeField()
    noun = models.CharField(max_length=10, help_text="workflow, job or approval")
    job_id = models.UUIDField(null=True, blank=True)
    approval_id = models.UUIDField(null=True, blank=True)
    from_state = models.CharField(max_length=20, blank=True)
    to_state = models.CharField(max_length=20)
    actor = models.CharField(max_length=200, help_text="key:<prefix>, user:<name>, worker:<name>, dispatcher")
    reason = models.TextField(blank=True)
    data = models.JSONField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "history"
        # Dispatcher: what happened in the last minute. Rows come in the order of their time, so this kind does.
        indexes = (BrinIndex(fields=("at",), pages_per_range=32, autosummarize=True, name="history_at"),)

    def __str__(self) -> str:
        return f"{self.seq}. {self.noun} {self.from_state} > {self.to_state}"
