"""Make the vectors of a tenant again, by the embedding model that is configured now. [C9]"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.errors import AgentappError
from agentapp.lifecycle import vectors
from agentapp.lifecycle.vectors import Space as Space
from agentapp.llm.answers import Embeddings as Embeddings
from agentapp.models import Chunk
from agentapp.retrieval import embedding

# Texts of one call, as many as most models take at once.
AT_ONCE = 64
# Calls of one job, which a timeout or a stop would otherwise end in the middle more often.
MOST_CALLS = 20
# Parts of one round: what is left comes in the next.
MOST_DOCUMENTS, MOST_FACTS = 1_000, 6_400

Ask = Callable[[list[str]], Embeddings]


class EmbeddingChanged(AgentappError):
    """Another model is configured since the round began: nothing of it is stored, and the next one asks that model."""


@dataclass(frozen=True)
class Stale:
    """What has no vector of the configured model yet, as far as one round goes: documents, and batches of facts."""

    space: Space
    documents: list[UUID]
    facts: list[list[UUID]]

    @property
    def parts(self) -> list[dict[str, Any]]:
        found = [{"document": str(one)} for one in self.documents]
        return found + [{"facts": [str(one) for one in batch]} for batch in self.facts]


def find(tenant_id: int, ask: Ask) -> Stale:
    """Look what must be embedded. One text is embedded first: of what dimension the vectors are, the model alone tells.

    Raises:
        TransientError, PermanentError: the embedding model failed; EmbeddingsNotConfigured: there is none.
    """
    told = ask(["dimension"])
    space = Space(told.model, told.dimension)
    passages = vectors.stale(vectors.passages(tenant_id), space).order_by("document_id")
    facts = vectors.stale(vectors.facts(tenant_id), space).order_by("id")
    documents = passages.values_list("document_id", flat=True).distinct()[:MOST_DOCUMENTS]
    ids = list(facts.values_list("pk", flat=True)[:MOST_FACTS])
    return Stale(space, list(documents), [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)])


def document(tenant_id: int, document_id: UUID, space: Space, ask: Ask) -> int:
    """Embed the passages of a document that have no vector of this space, a few calls of them; return how many.

    What is embedded is stored call by call, and is not embedded again.

    Raises:
        EmbeddingChanged: the model answers in another space by now.
    """
    rows = vectors.passages(tenant_id).filter(document_id=document_id)
    done = 0
    for batch in _batches(lambda: list(vectors.stale(rows, space).order_by("position")[:AT_ONCE])):
        texts = [embedding.passage_text(heading=chunk.heading, text=chunk.text) for chunk in batch]
        vectors.keep(rows, [chunk.pk for chunk in batch], space, _asked(texts, space, ask))
        done += len(batch)
    return done


def facts(tenant_id: int, ids: list[UUID], space: Space, ask: Ask) -> int:
    """Embed these facts, as far as they have no vector of this space; return how many. Raises EmbeddingChanged."""
    rows = vectors.facts(tenant_id).filter(pk__in=ids)
    found = list(vectors.stale(rows, space).order_by("id"))
    if found:
        vectors.keep(rows, [fact.pk for fact in found], space, _asked([fact.text for fact in found], space, ask))
    return len(found)


def settle(tenant_id: int, space: Space) -> tuple[int, int]:
    """Let new vectors take the place of the old ones where all are there; return how many did, and how many texts have
    none yet."""
    if embedding.model_name() != space.model:
        return 0, 1
    done, left = vectors.settle(vectors.passages(tenant_id), space)
    done_facts, left_facts = vectors.settle(vectors.facts(tenant_id), space)
    return done + done_facts, left + left_facts


def _batches(read: Callable[[], list[Chunk]]) -> Iterator[list[Chunk]]:
    for _ in range(MOST_CALLS):
        if not (batch := read()):
            return
        yield batch


def _asked(texts: list[str], space: Space, ask: Ask) -> list[Any]:
    told = ask(texts)
    if Space(told.model, told.dimension) != space:
        raise EmbeddingChanged(f"{told.model} ({told.dimension}) embeds now, not {space.model} ({space.dimension})")
    return list(told.vectors)
