"""The chunks of whole documents, numbered, as they stand at one moment: for reports that read all of them. [C9]"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef

from agentapp import conf
from agentapp.errors import PermanentError, TransientError
from agentapp.models import Chunk, Document, Workflow
from agentapp.policies.counting import count
from agentapp.retrieval import ranges
from agentapp.states import DocumentState

# So many are stored as one file: each job that reads one of them reads the file.
BATCH = 50


@dataclass(frozen=True)
class Excerpt:
    """A chunk under the number that citations name it by, from 1."""

    n: int
    document_id: str
    title: str
    heading: str
    text: str


def read(
    tenant_id: int, *, documents: Sequence[UUID] = (), collection: str = "", task_id: UUID | None = None
) -> list[Excerpt]:
    """Return all chunks of documents, in their order, or of a collection, the oldest document first.

    Of a collection, documents that were there when the task was submitted are waited for.

    Raises:
        PermanentError: a document is unknown or has no text, there is nothing to read, or too much at once.
        TransientError: a document is still being processed, and has no text yet.
    """
    chunks = Chunk.objects.filter(tenant_id=tenant_id)
    order = {document: place for place, document in enumerate(dict.fromkeys(documents))}
    chunks = chunks.filter(document__in=order) if order else chunks.filter(document__collection=collection)
    most = conf.fan_out_max_parts()
    named = chunks.order_by("document_id", "position")[: most + 1]
    rows = list(named.values_list("document_id", "document__title", "heading", "text"))
    if len(rows) > most:
        raise PermanentError(f"There are more than {most:,} chunks to read. Ask about fewer documents at once.")
    with_text = {row[0] for row in rows}
    for document in order:
        if document not in with_text:
            raise _unread(tenant_id, document)
    if not order:
        _wait_for_collection(tenant_id, collection, task_id)
    if not rows:
        raise PermanentError(f"There is nothing to read: no document of the collection {collection!r} has a text.")
    # Sorting is stable: chunks of one document stay in their order.
    rows.sort(key=lambda row: order.get(row[0], 0))
    return [Excerpt(n, str(row[0]), *row[1:]) for n, row in enumerate(rows, start=1)]


def _wait_for_collection(tenant_id: int, collection: str, task_id: UUID | None) -> None:
    """Only for documents that are older than the task: one to which some are added all the time must be read too."""
    rows = Document.objects.filter(tenant_id=tenant_id, collection=collection, state=DocumentState.PROCESSING)
    if task_id:
        rows = rows.filter(created_at__lte=Workflow.objects.filter(pk=task_id).values("created_at"))
    if waiting := rows.filter(~Exists(Chunk.objects.filter(document=OuterRef("pk")))).count():
        raise TransientError(f"{count(waiting, 'document')} of the collection {collection!r} must still be processed.")


def _unread(tenant_id: int, document_id: UUID) -> PermanentError | TransientError:
    document = Document.objects.filter(tenant_id=tenant_id, pk=document_id).first()
    if document is None:
        return PermanentError(f"This tenant has no document {document_id}.")
    if document.state == DocumentState.PROCESSING:
        return TransientError(f"The document {document_id} is still being processed.")
    return PermanentError(f"The document {document_id} has no text. {document.error}".rstrip())


def batches(excerpts: Sequence[Excerpt]) -> Iterator[Sequence[Excerpt]]:
    for start in range(0, len(excerpts), BATCH):
        yield excerpts[start : start + BATCH]


def dump(excerpts: Iterable[Excerpt]) -> str:
    return json.dumps([asdict(excerpt) for excerpt in excerpts], ensure_ascii=False)


def load(text: str) -> list[Excerpt]:
    """Read what dump() wrote."""
    return [Excerpt(**fields) for fields in json.loads(text)]


def by_document(excerpts: Iterable[Excerpt]) -> list[dict[str, str]]:
    """Return which chunks are of which document: {"document_id", "title", "chunks"}."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for excerpt in excerpts:
        numbers.setdefault((excerpt.document_id, excerpt.title), []).append(excerpt.n)
    return [
        {"document_id": document_id, "title": title, "chunks": ranges.written(found)}
        for (document_id, title), found in numbers.items()
    ]
