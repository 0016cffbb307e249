"""What a customer answered to a message that a task had sent."""

from __future__ import annotations

from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.models.workflow import Workflow


class Reply(models.Model):
    """Told by the service that receives mail, once for each `message_id`, and never changed. It is not trusted."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    # In the database it goes with its task, whichever release deletes that.
    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="replies", db_index=False, db_constraint=False
    )
    message_id = models.CharField(max_length=300, help_text="of the mail, by which a second one is known")
    sender = models.CharField(max_length=300)
    subject = models.CharField(max_length=300, blank=True)
    text = models.TextField()
    actor = models.CharField(max_length=200, help_text="who told us: key:<prefix> or user:<name>")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "replies"
        constraints = (models.UniqueConstraint(fields=("workflow", "message_id"), name="reply_once"),)

    def __str__(self) -> str:
        return f"reply of {self.sender}"
