"""Documents: a text that is loaded is ready at once; a file is processing -> ready | failed, by a workflow of its own.

Readers see the old chunks until the new ones are there. The document's row is locked before it is decided on, and it
names the workflow that may write to it: what an earlier one still does comes too late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp import flows, registry
from agentapp.errors import IllegalMove, InvalidPlan
from agentapp.ids import uuid7
from agentapp.lifecycle import database, holds
from agentapp.lifecycle.cancel import cancel
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import submit
from agentapp.models import Artifact, Chunk, Document, LegalHold, Workflow
from agentapp.models.document import COLLECTION
from agentapp.policies import priority
from agentapp.states import DocumentState, Origin

KIND = "process_document"
# Of the workflow that takes a document in: how all that it has left behind is found.
LABEL = "document"
# After so long nobody waits for it any more.
OPEN_FOR_S = 7 * 24 * 3600.0

ChunksOf = Callable[[Document], Iterable[Chunk]]
# Rows of one INSERT, with a vector each.
AT_ONCE = 500


@dataclass(frozen=True)
class Content:
    """What is stored of a text beside its chunks; `size` is in characters. No collection: the one that it has."""

    title: str
    sha256: str
    size: int
    media_type: str = ""
    collection: str = ""

    def columns(self, now: datetime) -> dict[str, Any]:
        chosen = {"collection": self.collection} if self.collection else {}
        return chosen | {
            "title": self.title, "sha256": self.sha256, "size": self.size, "media_type": self.media_type,
            "updated_at": now, "state": DocumentState.READY, "error": "",
        }  # fmt: skip


@dataclass(frozen=True)
class Upload:
    """A file that is stored already. `given_title` may be empty: the file's own is taken, or its name."""

    artifact: Artifact
    source: str
    file_type: str
    given_title: str = ""
    collection: str = ""
    charset: str = ""


@dataclass(frozen=True)
class Begun:
    """A document whose file is taken in; `superseded` is the workflow of an earlier upload that need not go on."""

    document: Document
    opened: Opened = field(default_factory=Opened)
    superseded: UUID | None = None


def store(*, tenant_id: int, source: str, content: Content, chunks_of: ChunksOf, now: datetime) -> Document:
    """Store a text with its chunks, all or nothing; what an upload is still doing for this source comes too late."""
    with database.atomic():
        loaded = content.columns(now) | {"task_id": None, "upload_id": None, "upload_sha256": ""}
        document, _ = Document.objects.update_or_create(
            tenant_id=tenant_id, source=source, defaults=loaded, create_defaults={**loaded, "created_at": now}
        )
        _replace_chunks(document, chunks_of(document))
    return document


def begin(upload: Upload, *, actor: str) -> Begun:
    """Take an upload in: the document and the workflow that processes it, in one commit."""
    tenant_id, task_id, now = upload.artifact.tenant_id, uuid7(), database.now()
    processing = {
        "state": DocumentState.PROCESSING, "error": "", "task_id": task_id, "upload_id": upload.artifact.pk,
        "upload_sha256": upload.artifact.sha256,
    }  # fmt: skip
    fresh = {
        "title": upload.given_title or _name(upload.source), "sha256": upload.artifact.sha256, "size": 0,
        "media_type": upload.artifact.media_type, "collection": upload.collection or COLLECTION,
        "created_at": now, "updated_at": now,
    }  # fmt: skip
    with database.atomic():
        # The lock that an update of the row would take only later: two uploads of one source come one after the other.
        earlier = Document.objects.select_for_update().filter(tenant_id=tenant_id, source=upload.source).first()
        document, _ = Document.objects.update_or_create(
            tenant_id=tenant_id, source=upload.source, defaults=processing, create_defaults=processing | fresh
        )
        opened = _submit(document, upload, actor=actor)
    return Begun(document, opened, earlier.task_id if earlier else None)


def _name(source: str) -> str:
    return source.rstrip("/").rpartition("/")[2][:300] or source[:300]


def _submit(document: Document, upload: Upload, *, actor: str) -> Opened:
    flow = registry.latest_flow(KIND)
    if flow is None:
        raise InvalidPlan(f"There is no task kind {KIND}: it is part of tasks/flows.")
    workflow = Workflow(
        id=document.task_id, tenant_id=document.tenant_id, kind=KIND, version=flow.version, origin=Origin.DOCUMENT,
        priority=priority.NAMES.index("low"), labels={LABEL: str(document.pk)}, result_bind=flows.paths_of(flow.result),
        input={
            "document_id": str(document.pk), "upload_id": str(upload.artifact.pk), "source": upload.source,
            "file_type": upload.file_type, "charset": upload.charset, "title": upload.given_title,
            "collection": upload.collection,
        },
    )  # fmt: skip
    return submit(workflow, stages=flows.plan(flow), actor=actor, deadline_s=OPEN_FOR_S)[0]


def publish(document_id: UUID, *, task: UUID, content: Content, chunks_of: ChunksOf) -> bool:
    """Let readers see the new chunks, in one commit; return whether this workflow may still do so.

    Once more, after its answer was lost, it is done once more.
    """
    with database.atomic():
        document = _locked(document_id, task)
        if document is None:
            return False
        columns = content.columns(database.now()) | {"sha256": document.upload_sha256}
        Document.objects.filter(pk=document.pk).update(**columns)
        _replace_chunks(document, chunks_of(document))
    return True


def fail(document_id: UUID, *, task: UUID, reason: str) -> bool:
    """Note why a file has no text; return whether this workflow may still do so. What was quoted before stays."""
    with database.atomic():
        document = _locked(document_id, task)
        if document is None:
            return False
        Document.objects.filter(pk=document.pk).update(state=DocumentState.FAILED, error=reason)
    return True


def remove(documents: QuerySet[Document], *, tells: bool = False) -> list[Document]:
    """Delete documents with their chunks and vectors; return those that were there. `tells`: who asks may see holds.

    Raises:
        IllegalMove: a legal hold keeps all of their tenant, or a customer whom one names; nothing is deleted.
    """
    with database.atomic():
        found = _lock(documents)
        holds.refuse_documents(found, tells=tells)
        Document.objects.filter(pk__in=[document.pk for document in found]).delete()
    return found


def remove_free(documents: QuerySet[Document]) -> tuple[list[Document], list[tuple[Document, LegalHold]]]:
    """Delete those of these documents that no legal hold keeps; return them, and the others with the hold of each."""
    with database.atomic():
        found = _lock(documents)
        kept = list(holds.keeping(found))
        staying = {document.pk for document, _ in kept}
        free = [document for document in found if document.pk not in staying]
        Document.objects.filter(pk__in=[document.pk for document in free]).delete()
    return free, kept


def kept(documents: QuerySet[Document]) -> list[tuple[Document, LegalHold]]:
    """Those of these documents that a legal hold keeps, with the hold of each."""
    with database.atomic():
        return list(holds.keeping(list(documents.order_by("id"))))


def _lock(documents: QuerySet[Document]) -> list[Document]:
    """Called before a delete: a text that is loaded meanwhile would add chunks to a document that goes."""
    with database.atomic():
        return list(documents.select_for_update(of=("self",)).order_by("id"))


def end(task: UUID | None, *, actor: str, reason: str) -> None:
    """Cancel a workflow that takes a document in, if it is not over."""
    if task is None:
        return
    try:
        cancel(task, actor=actor, reason=reason)
    except IllegalMove:
        return


def _locked(document_id: UUID, task: UUID) -> Document | None:
    """Return the document under its lock, unless it is gone or another upload's."""
    with database.atomic():
        return Document.objects.select_for_update().filter(pk=document_id, task_id=task).first()


def _replace_chunks(document: Document, chunks: Iterable[Chunk]) -> None:
    left = iter(chunks)
    with database.atomic():
        document.chunks.all().delete()
        while some := list(islice(left, AT_ONCE)):
            Chunk.objects.bulk_create(some)
