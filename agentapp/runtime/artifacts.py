"""Texts that are too large for a row."""

from __future__ import annotations

import hashlib

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile

from agentapp import clock, redaction
from agentapp.errors import PermanentError
from agentapp.ids import uuid7
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Artifact
from agentapp.runtime.patience import BodyPatience, storage

# A longer text of an output is an artifact.
INLINE_CHARACTERS = 8_000


class Artifacts:
    """Of one job; it reads those of its own tenant only."""

    def __init__(self, job: Claimed, patience: BodyPatience) -> None:
        self._job = job
        self._patience = patience

    def write(self, text: str, *, name: str = "text.txt") -> str:
        """Store a text and return its id. The file is written before the row, so no row leads nowhere."""
        data = redaction.redacted(text).encode()
        artifact = Artifact(
            id=uuid7(), tenant_id=self._job.tenant_id, workflow_id=self._job.workflow_id, job_id=self._job.id,
            name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), created_at=clock.now(),
        )  # fmt: skip
        self._patience(lambda: self._save(artifact, data))
        # An insert whose answer was lost may have happened.
        self._patience(lambda: Artifact.objects.bulk_create([artifact], ignore_conflicts=True))
        return str(artifact.id)

    def _save(self, artifact: Artifact, data: bytes) -> None:
        with storage():
            artifact.file.save(f"{self._job.workflow_id}/{artifact.id}", ContentFile(data), save=False)

    def kept(self, text: str, *, name: str) -> dict[str, str]:
        """Return a text as an output holds it: {"text"}, or of a long one {"text_id"}, the artifact that it is written
        to."""
        if len(text) <= INLINE_CHARACTERS:
            return {"text": text}
        return {"text_id": self.write(text, name=name)}

    def read(self, artifact_id: str) -> str:
        """Raises PermanentError when the tenant has no such artifact."""
        return self.read_bytes(artifact_id).decode()

    def read_bytes(self, artifact_id: str) -> bytes:
        """Raises PermanentError when the tenant has no such artifact."""
        mine = Artifact.objects.filter(tenant_id=self._job.tenant_id)
        try:
            artifact = self._patience(mine.filter(pk=artifact_id).first)
        except ValidationError:
            artifact = None  # It is no id at all.
        if artifact is None:
            raise PermanentError(f"This tenant has no artifact {artifact_id}.")
        return self._patience(lambda: self._content(artifact))

    @staticmethod
    def _content(artifact: Artifact) -> bytes:
        with storage(), artifact.file.open("rb") as file:
            return bytes(file.read())
