"""Files for the knowledge base: stored as they are, then processed by a workflow. [C1]"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.core.files.base import ContentFile

from agentapp import clock, conf
from agentapp.dispatch import publisher
from agentapp.errors import InvalidInput
from agentapp.ids import uuid7
from agentapp.lifecycle import documents as moves
from agentapp.models import Artifact, Document, Workflow
from agentapp.models.artifact import artifact_storage
from agentapp.models.workflow import labelled
from agentapp.policies import file_types
from agentapp.retrieval import ingest
from agentapp.runtime.patience import storage
from agentapp.services import document_fields, document_progress
from agentapp.services.principals import Principal
from agentapp.states import DocumentState


@dataclass(frozen=True)
class File:
    """What a client sent: `source` names it, `media_type` is what it declares, without parameters, and may be empty."""

    data: bytes
    source: str
    media_type: str = ""
    charset: str = ""
    title: str = ""
    collection: str = ""


def upload(principal: Principal, file: File, *, tenant_id: int | None = None) -> Document:
    """Store a file and begin to take it in; the same `source` again replaces what was there, once the new is ready.

    A file that is there already, or is being processed, is no work: its document is returned as it is.

    Raises:
        PermissionDenied: the scope documents:write is missing.
        NotFound: the tenant is not the principal's.
        InvalidInput: with one error per field; nothing is stored.
        Unavailable: the store of files does not answer; nothing is stored.
    """
    principal.require("documents:write")
    owner_id = principal.chosen_tenant(tenant_id, needs="documents:write")
    file_type = _checked(file)
    sha256 = hashlib.sha256(file.data).hexdigest()
    known = Document.objects.filter(tenant_id=owner_id, source=document_fields.source(file.source)).first()
    if known is not None and _is_known(known, file, file_type, sha256):
        return known
    taken = moves.Upload(
        artifact=_stored(file, file_type, owner_id, sha256), source=document_fields.source(file.source),
        file_type=file_type, given_title=document_fields.title(file.title), collection=file.collection,
        charset=file.charset,
    )  # fmt: skip
    begun = moves.begin(taken, actor=principal.actor)
    publisher.publish(begun.opened)
    moves.end(begun.superseded, actor=principal.actor, reason="the document was uploaded again")
    return begun.document


def _checked(file: File) -> file_types.FileType:
    """Return what kind of file it is. Raises InvalidInput."""
    problems = document_fields.problems(source=file.source, title=file.title or "-", collection=file.collection)
    if problems:
        raise document_fields.invalid(problems)
    if len(file.data) > conf.upload_max_bytes():
        words = f"The file has {len(file.data):,} bytes; at most {conf.upload_max_bytes():,} are taken."
        raise InvalidInput.at(file_types.FIELD, words)
    return file_types.decide(file.data, declared=file.media_type, name=file.source)


def _is_known(known: Document, file: File, file_type: file_types.FileType, sha256: str) -> bool:
    """Tell whether taking this file in would leave the document as it is, or as it is about to be."""
    title = document_fields.title(file.title)
    task = Workflow.objects.filter(pk=known.task_id).first() if known.task_id else None
    asked = task.input if task else {}
    if document_progress.of([known])[known.pk].state == DocumentState.PROCESSING:
        return (
            known.upload_sha256 == sha256
            and _is_read_alike(asked, file, file_type)
            and title in ("", asked["title"])
            and file.collection in ("", asked["collection"] or known.collection)
        )
    if not ingest.is_current(known, title=title, sha256=sha256, collection=file.collection):
        return False
    if task is None and known.media_type:
        return known.media_type == file_types.MEDIA_TYPES[file_type]
    return _is_read_alike(asked, file, file_type) if task else file_type in file_types.PLAIN


def _is_read_alike(asked: dict[str, Any], file: File, file_type: file_types.FileType) -> bool:
    return (asked["file_type"], asked["charset"]) == (file_type, file.charset)


def _stored(file: File, file_type: file_types.FileType, tenant_id: int, sha256: str) -> Artifact:
    """Store the file, then its row, so that no row leads nowhere."""
    artifact = Artifact(
        id=uuid7(), tenant_id=tenant_id, name=document_fields.source(file.source)[-200:], size=len(file.data),
        media_type=file_types.MEDIA_TYPES[file_type], sha256=sha256, created_at=clock.now(),
    )  # fmt: skip
    with storage():
        artifact.file.save(f"uploads/{artifact.id}", ContentFile(file.data), save=False)
    artifact.save(force_insert=True)
    return artifact


def forget(document: Document) -> None:
    """Delete what was uploaded for a document that is gone, and what taking it in has left; best effort: what is left
    because the store is away, the pruner deletes."""
    rows = Artifact.objects.filter(tenant_id=document.tenant_id)
    tasks = Workflow.objects.filter(labelled({moves.LABEL: str(document.pk)}), kind=moves.KIND)
    of_tasks = rows.filter(workflow__in=tasks)
    for artifact in [*rows.filter(pk__in=[document.upload_id], workflow=None), *of_tasks]:
        with storage():
            artifact_storage().delete(str(artifact.file.name))
        Artifact.objects.filter(pk=artifact.pk).delete()
