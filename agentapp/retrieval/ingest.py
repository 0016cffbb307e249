"""Put a document's text into the knowledge base, in place of what was there. [C9]"""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from agentapp import clock
from agentapp.llm.answers import Embeddings, EmbeddingsNotConfigured
from agentapp.models import Chunk, Document
from agentapp.retrieval import embedding
from agentapp.retrieval.chunking import Piece
from agentapp.retrieval.embedding import Embed


def is_current(document: Document, *, title: str, sha256: str) -> bool:
    """Tell whether a document already holds this text, embedded by the model that is configured.

    Without an embedding model what was embedded before stays as it is: a model that comes back finds its vectors.
    """
    if (document.title, document.sha256) != (title, sha256):
        return False
    model = embedding.model_name()
    return not model or not document.chunks.exclude(embedding_model=model).exists()


def replace(
    *, tenant_id: int, source: str, title: str, pieces: list[Piece], sha256: str, size: int, embed: Embed
) -> Document:
    """Store a document and its chunks, all or nothing; readers see the old chunks until the new ones are there.

    `size` is in characters. The embedding call, which may take seconds, is made before the transaction begins.

    Raises:
        TransientError, PermanentError: the embedding model failed; nothing is stored.
    """
    embedded = _embedded(pieces, embed)
    now = clock.now()
    content = {"title": title, "sha256": sha256, "size": size, "updated_at": now}
    with transaction.atomic():
        document, _ = Document.objects.update_or_create(
            tenant_id=tenant_id, source=source, defaults=content, create_defaults={**content, "created_at": now}
        )
        document.chunks.all().delete()
        Chunk.objects.bulk_create(_chunks(document, pieces, embedded))
    return document


def remove(documents: QuerySet[Document]) -> list[Document]:
    """Take documents out of the knowledge base, with their chunks and vectors; return those that were there."""
    with transaction.atomic():
        # Locked first: a text that is loaded meanwhile would add chunks to a document that goes.
        found = list(documents.select_for_update(of=("self",)).order_by("id"))
        Document.objects.filter(pk__in=[document.pk for document in found]).delete()
    return found


def _embedded(pieces: list[Piece], embed: Embed) -> Embeddings | None:
    try:
        return embed([embedding.passage_text(heading=piece.heading, text=piece.text) for piece in pieces])
    except EmbeddingsNotConfigured:
        return None


def _chunks(document: Document, pieces: list[Piece], embedded: Embeddings | None) -> list[Chunk]:
    return [
        Chunk(
            document=document,
            tenant_id=document.tenant_id,
            position=position,
            heading=piece.heading,
            text=piece.text,
            embedding=embedded.vectors[position] if embedded else None,
            embedding_model=embedded.model if embedded else "",
            embedding_dimension=embedded.dimension if embedded else 0,
        )
        for position, piece in enumerate(pieces)
    ]
