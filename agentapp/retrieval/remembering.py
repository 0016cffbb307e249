"""Keep facts about customers, from jobs and tools: with a vector where there is an embedding model. [C8]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agentapp.errors import InvalidInput
from agentapp.lifecycle import memories, vectors
from agentapp.lifecycle.memories import Fact, ReadFact, Synced, Vector
from agentapp.llm.answers import EmbeddingsNotConfigured
from agentapp.policies import facts, storable
from agentapp.retrieval import embedding
from agentapp.retrieval.embedding import Embed

# Who has written a fact that was read from a task.
ACTOR = "sync_memory"


def text_of(given: str) -> str:
    """Return a fact as it is kept. Raises InvalidInput when it cannot be."""
    text = facts.text(given)
    if not 0 < len(text) <= facts.LONGEST_TEXT or not storable.is_storable(text):
        raise InvalidInput.at("text", f"A fact is a text of 1 to {facts.LONGEST_TEXT} characters.")
    return text


def meaning(texts: Sequence[str], embed: Embed, *, tenant_id: int, about: str) -> list[Vector | None]:
    """Return what these facts about a customer mean, by the model of what is known of them already; None of each where
    there is no embedding model. Call it outside a transaction.

    Raises:
        TransientError, PermanentError: the embedding model is configured and failed.
    """
    if not texts:
        return []
    try:
        found = embedding.by_model(embed, list(texts), model=model_of(tenant_id, about))
    except EmbeddingsNotConfigured:
        return [None] * len(texts)
    return [Vector(list(values), found.model, found.dimension) for values in found.vectors]


def model_of(tenant_id: int, about: str) -> str:
    """The embedding model by whose vectors the facts about a customer are compared."""
    return vectors.model_in_use(vectors.facts(tenant_id, about), embedding.model_name())


@dataclass(frozen=True)
class FoundFact:
    """A fact as text_of returns it, read from a task of this time; the version that it contradicts."""

    text: str
    task: UUID
    began_at: datetime
    finished_at: datetime
    replaces: UUID | None = None


def keep(found: Sequence[FoundFact], *, tenant_id: int, about: str, until: datetime, embed: Embed) -> Synced:
    """Keep what was read from the tasks of a customer that finished until then, as texts of others. Called twice, or
    after the customer's facts were erased, it keeps nothing.

    Raises:
        TransientError, PermanentError: the embedding model is configured and failed; nothing is kept.
    """
    meant = meaning([fact.text for fact in found], embed, tenant_id=tenant_id, about=about)
    read = [
        ReadFact(
            Fact(tenant_id, about, fact.text, ACTOR, is_untrusted=True, vector=vector, task_id=fact.task),
            fact.began_at,
            fact.finished_at,
            fact.replaces,
        )
        for fact, vector in zip(found, meant, strict=True)
    ]
    return memories.write_read(read, tenant_id=tenant_id, about=about, until=until, actor=ACTOR)
