"""Large values, kept out of the rows."""

from __future__ import annotations

from django.core.files.storage import Storage, storages
from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.models.workflow import Workflow


def artifact_storage() -> Storage:
    """Files under AGENTAPP_HOME by default, any Django storage by a setting."""
    return storages["artifacts"]


class Artifact(models.Model):
    """A prompt, a draft, a file: referenced by id, written once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="artifacts", null=True, blank=True)
    job_id = models.UUIDField(null=True, blank=True)
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=100, default="text/plain; charset=utf-8")
    file = models.FileField(storage=artifact_storage, max_length=300)
    size = models.PositiveBigIntegerField(help_text="in bytes")
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        indexes = (
            # Pruner: uploads, which belong to no task.
            models.Index(fields=("created_at",), condition=models.Q(workflow=None), name="artifact_upload"),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.id}"
