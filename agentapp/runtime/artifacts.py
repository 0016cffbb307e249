"""Texts that are too large for a row."""

from __future__ import annotations

import hashlib

from django.core.files.base import ContentFile

from agentapp import clock
from agentapp.errors import PermanentError
from agentapp.ids import uuid7
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Artifact


class Artifacts:
    """Of one job; it reads those of its own tenant only."""

    def __init__(self, job: Claimed) -> None:
        self._job = job

    def write(self, text: str, *, name: str = "text.txt") -> str:
        """Store a text and return its id. The file is written before the row, so no row leads nowhere."""
        data = text.encode()
        artifact = Artifact(
            id=uuid7(), tenant_id=self._job.tenant_id, workflow_id=self._job.workflow_id, job_id=self._job.id,
            name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), created_at=clock.now(),
        )  # fmt: skip
        artifact.file.save(f"{self._job.workflow_id}/{artifact.id}", ContentFile(data), save=False)
        artifact.save(force_insert=True)
        return str(artifact.id)

    def read(self, artifact_id: str) -> str:
        """Raises PermanentError when the tenant has no such artifact."""
        artifact = Artifact.objects.filter(pk=artifact_id, tenant_id=self._job.tenant_id).first()
        if artifact is None:
            raise PermanentError(f"There is no artifact {artifact_id} in this workspace.")
        with artifact.file.open("rb") as file:
            return bytes(file.read()).decode()
