"""Search what is remembered of one customer, by words and by meaning. [C8]"""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from agentapp.lifecycle import vectors
from agentapp.lifecycle.vectors import Space
from agentapp.llm.answers import EmbeddingsNotConfigured
from agentapp.models import Memory
from agentapp.policies import facts
from agentapp.retrieval import embedding, full_text, fusion
from agentapp.retrieval.embedding import Embed
from agentapp.retrieval.passages import Passage

SOURCE = "memories"
# Cosine distance beyond which a fact has nothing to do with a question: of few facts the nearest may be far.
FAR = 0.75


def of(tenant_id: int, about: str) -> QuerySet[Memory]:
    """The facts about a customer that hold. Nothing reads facts without saying about whom."""
    rows = Memory.objects.filter(tenant_id=tenant_id, about=facts.about(about), valid_until__isnull=True)
    return rows.defer("search", "embedding", "next_embedding")


def search(tenant_id: int, query: str, *, about: str, limit: int, embed: Embed) -> list[Passage]:
    """Return the facts about a customer that have to do with a question, at most `limit`, best first.

    Raises:
        TransientError, PermanentError: the embedding model is configured and failed.
    """
    rows = of(tenant_id, about)
    if not about.strip() or not query.strip() or not rows.exists():
        return []
    words = [hit.id for hit in full_text.rank(rows, query, limit=facts.MOST_OF_ONE, last=("id",))]
    ranked = fusion.fuse([words, _by_meaning(rows, query, embed)])[:limit]
    found = rows.in_bulk([memory_id for memory_id, _ in ranked])
    # A fact that was erased since it was ranked is gone.
    return [_passage(found[memory_id], score=score) for memory_id, score in ranked if memory_id in found]


def _by_meaning(rows: QuerySet[Memory], query: str, embed: Embed) -> list[UUID]:
    """Ids of the facts near to the question, nearest first; only facts of the same model compare."""
    try:
        embedded = embedding.by_model(embed, [query], model=vectors.model_in_use(rows, embedding.model_name()))
    except EmbeddingsNotConfigured:
        return []
    space = Space(embedded.model, embedded.dimension)
    near = rows.filter(space.holds).annotate(distance=space.distance(embedded.vectors[0])).filter(distance__lt=FAR)
    return list(near.order_by("distance", "id").values_list("pk", flat=True))


def _passage(memory: Memory, *, score: float) -> Passage:
    return Passage(
        id=str(memory.pk),
        source=SOURCE,
        title="What is remembered of the customer",
        heading="",
        text=memory.text,
        score=round(score, 6),
        is_untrusted=memory.is_untrusted,
    )
