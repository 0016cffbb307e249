"""What jobs have stored beside their rows: prompts, drafts, files."""

from __future__ import annotations

import logging
from uuid import UUID

from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.db.models import QuerySet

from agentapp.errors import ContentMissing, NotFound, Unavailable
from agentapp.models import Artifact
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.services import workflows
from agentapp.services.principals import Principal


def of_task(principal: Principal, workflow_id: UUID) -> QuerySet[Artifact]:
    """The artifacts of a task, in the order in which they were written. Raises NotFound."""
    return Artifact.objects.filter(workflow=workflows.get(principal, workflow_id)).order_by("id")


def get(principal: Principal, artifact_id: UUID) -> Artifact:
    """Raises NotFound; another tenant's artifact is as unknown as one that does not exist."""
    principal.require("tasks:read")
    found = principal.visible(Artifact.objects.filter(pk=artifact_id)).first()
    if found is None:
        raise NotFound(f"This tenant has no artifact {artifact_id}.")
    return found


def open_content(artifact: Artifact) -> File[bytes]:
    """Open an artifact's file; the caller closes it.

    Raises:
        ContentMissing: the store has no such file, or another than was stored.
        Unavailable: the store does not answer.
    """
    try:
        with faults.caught(Fault.OUTAGE, Fault.LIMIT, Fault.REFUSED) as caught:
            file = artifact.file.open("rb")
            size = file.size
    except FileNotFoundError as error:
        if _is_away(artifact):
            raise Unavailable("The store of files is not there.") from error
        raise _missing(artifact, "is not in the store of files") from error
    except OSError as error:
        raise Unavailable(f"The store of files does not answer: {error}") from error
    if caught.error is not None:
        raise Unavailable(f"The store of files does not answer: {caught.error}") from caught.error
    if size != artifact.size:
        file.close()
        raise _missing(artifact, "is not in the store of files as it was written")
    return file


def _is_away(artifact: Artifact) -> bool:
    # A disk that is not mounted has none of the files, and comes back with all of them.
    storage = artifact.file.storage
    return isinstance(storage, FileSystemStorage) and not storage.exists("")


def _missing(artifact: Artifact, what: str) -> ContentMissing:
    events.emit("artifact.missing", level=logging.ERROR, artifact=artifact.pk, file=artifact.file.name)
    return ContentMissing(f"The content of the artifact {artifact.pk} {what}. Tell the operator of the service.")
