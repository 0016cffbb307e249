"""Search a tenant's documents by words and by meaning, fused by rank. [C9]"""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from agentapp.lifecycle import vectors
from agentapp.lifecycle.vectors import Space
from agentapp.llm.answers import Embeddings, EmbeddingsNotConfigured
from agentapp.models import Chunk
from agentapp.retrieval import embedding, full_text, fusion
from agentapp.retrieval.embedding import Embed
from agentapp.retrieval.passages import Found, Passage

# How deep each ranking is read before they are fused.
CANDIDATES = 40
# The share of a question's words that a passage must have for its words to count beside its meaning: one word of
# small talk in common must not outvote it. With less than half, `bench.retrieval` found less than by meaning alone.
TELLING_SHARE = 0.5


def search(tenant_id: int, query: str, *, limit: int, embed: Embed, collection: str = "") -> Found:
    """Return the best passages for a question in natural language, at most `limit`, best first.

    With a `collection` only its documents are searched, else all of the tenant.

    Raises:
        TransientError, PermanentError: the embedding model is configured and failed.
    """
    chunks = vectors.passages(tenant_id)
    embedded = _embedded(query, embed, model=vectors.model_in_use(chunks, embedding.model_name()))
    if collection:
        chunks = chunks.filter(document__collection=collection)
    near = by_meaning(chunks, embedded) if embedded else []
    hits = full_text.rank(chunks, query, limit=CANDIDATES)
    words = [hit.id for hit in hits if not near or hit.share >= TELLING_SHARE]
    ranked = fusion.fuse([words, near])[:limit]
    rows = chunks.select_related("document").in_bulk([chunk_id for chunk_id, _ in ranked])
    # A chunk that was replaced since it was ranked is gone.
    passages = [_passage(rows[chunk_id], score=score) for chunk_id, score in ranked if chunk_id in rows]
    return Found(passages=passages, mode="fused" if near else "full_text")


def by_meaning(chunks: QuerySet[Chunk], embedded: Embeddings) -> list[UUID]:
    """Return ids of the chunks nearest to the first vector, nearest first; only chunks of the same model compare.

    Every vector is compared: exact, and a tenant's documents are few enough.
    """
    space = Space(embedded.model, embedded.dimension)
    nearest = chunks.filter(space.holds).order_by(space.distance(embedded.vectors[0]), "document_id", "position")
    return list(nearest.values_list("pk", flat=True)[:CANDIDATES])


def _embedded(query: str, embed: Embed, *, model: str) -> Embeddings | None:
    if not query.strip():
        return None
    try:
        return embedding.by_model(embed, [query], model=model)
    except EmbeddingsNotConfigured:
        return None


def _passage(chunk: Chunk, *, score: float) -> Passage:
    address = chunk.document.source
    return Passage(
        id=str(chunk.pk),
        source="documents",
        title=chunk.document.title,
        heading=chunk.heading,
        text=chunk.text,
        score=round(score, 6),
        url=address if address.startswith(("https://", "http://")) else "",
    )
