"""What clients say to a conversation."""

from __future__ import annotations

from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.models.workflow import Workflow


class Message(models.Model):
    """Written under the lock of its task, and never changed. Which turn has read it is said by that turn's output."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    # In the database it goes with its task, whichever release deletes that.
    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="messages", db_index=False, db_constraint=False
    )
    number = models.IntegerField(help_text="from 1, within its task")
    text = models.TextField()
    is_untrusted = models.BooleanField(default=False, help_text="Others wrote it: it taints the run.")
    actor = models.CharField(max_length=200, help_text="key:<prefix> or user:<name>")
    created_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("workflow", "number"), name="message_number"),)

    def __str__(self) -> str:
        return f"message {self.number}"
