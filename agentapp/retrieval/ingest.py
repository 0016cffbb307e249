"""Put texts into the knowledge base, and take them out of it; see whether it is already there. [C9]"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from agentapp import clock
from agentapp.lifecycle import documents as moves
from agentapp.lifecycle import vectors
from agentapp.lifecycle.documents import Content
from agentapp.llm.answers import Embeddings, EmbeddingsNotConfigured
from agentapp.models import Chunk, Document
from agentapp.retrieval import embedding
from agentapp.retrieval.batches import Batch
from agentapp.retrieval.chunking import Piece
from agentapp.retrieval.embedding import Embed
from agentapp.states import DocumentState


@dataclass(frozen=True)
class Text:
    """The text of a file, in batches of passages; `size` is in characters. No collection: the document's own."""

    title: str
    size: int
    media_type: str
    collection: str
    batches: list[Batch]


def is_current(document: Document, *, title: str, sha256: str, collection: str = "") -> bool:
    """Tell whether a document already holds this text, embedded by the model that is configured.

    No title, no collection: those that it has. Without an embedding model what was embedded before stays as it is: a
    model that comes back finds its vectors.
    """
    if document.state != DocumentState.READY or document.sha256 != sha256:
        return False
    if title not in ("", document.title) or collection not in ("", document.collection):
        return False
    return is_embedded(document)


def is_embedded(document: Document) -> bool:
    """Tell whether all its chunks have a vector of the model by which the tenant is searched, if there is one."""
    model = model_of(document.tenant_id)
    return not model or not document.chunks.exclude(embedding_model=model).exclude(next_model=model).exists()


def model_of(tenant_id: int) -> str:
    """The embedding model by whose vectors the passages of a tenant are searched."""
    return vectors.model_in_use(vectors.passages(tenant_id), embedding.model_name())


def replace(*, tenant_id: int, source: str, content: Content, pieces: list[Piece], embed: Embed) -> Document:
    """Store a document and its chunks, all or nothing; readers see the old chunks until the new ones are there.

    The embedding call, which may take seconds, is made before the transaction begins.

    Raises:
        TransientError, PermanentError: the embedding model failed; nothing is stored.
    """
    embedded = embed_pieces(pieces, embed, tenant_id=tenant_id)
    return moves.store(
        tenant_id=tenant_id, source=source, content=content, now=clock.now(),
        chunks_of=lambda document: chunks(document, pieces, embedded),
    )  # fmt: skip


def publish(document_id: UUID, *, task: UUID, text: Text) -> bool:
    """Let answers quote the text of a file, in one commit; return False where the document is gone or another's.

    Done once more it leaves the same.
    """

    def chunks_of(document: Document) -> Iterator[Chunk]:
        first = 0
        for batch in text.batches:
            yield from chunks(document, batch.pieces, batch.embedded, first=first)
            first += len(batch.pieces)

    content = Content(text.title, "", text.size, text.media_type, text.collection)
    return moves.publish(document_id, task=task, content=content, chunks_of=chunks_of)


def refuse(document_id: UUID, *, task: UUID, reason: str) -> bool:
    """Note why a file cannot be quoted; return False where the document is gone, or another upload's."""
    return moves.fail(document_id, task=task, reason=reason)


def embed_pieces(pieces: list[Piece], embed: Embed, *, tenant_id: int) -> Embeddings | None:
    """Return a vector for each piece, of the model by which the tenant is searched, or None where there is none."""
    texts = [embedding.passage_text(heading=piece.heading, text=piece.text) for piece in pieces]
    try:
        return embedding.by_model(embed, texts, model=model_of(tenant_id))
    except EmbeddingsNotConfigured:
        return None


def chunks(document: Document, pieces: list[Piece], embedded: Embeddings | None, *, first: int = 0) -> list[Chunk]:
    """Return the rows of pieces that stand one after the other; `first` is the position of the first one."""
    return [
        Chunk(
            document=document,
            tenant_id=document.tenant_id,
            position=position,
            heading=piece.heading,
            text=piece.text,
            embedding=list(embedded.vectors[position - first]) if embedded else None,
            embedding_model=embedded.model if embedded else "",
            embedding_dimension=embedded.dimension if embedded else 0,
        )
        for position, piece in enumerate(pieces, start=first)
    ]
