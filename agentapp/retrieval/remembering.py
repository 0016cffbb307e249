"""Keep facts about customers, from jobs and tools: with a vector where there is an embedding model. [C8]"""

from __future__ import annotations

from collections.abc import Sequence

from agentapp.errors import InvalidInput
from agentapp.lifecycle.memories import Vector
from agentapp.llm.answers import EmbeddingsNotConfigured
from agentapp.policies import facts, storable
from agentapp.retrieval.embedding import Embed


def text_of(given: str) -> str:
    """Return a fact as it is kept. Raises InvalidInput when it cannot be."""
    text = facts.text(given)
    if not 0 < len(text) <= facts.LONGEST_TEXT or not storable.is_storable(text):
        raise InvalidInput.at("text", f"A fact is a text of 1 to {facts.LONGEST_TEXT} characters.")
    return text


def vectors(texts: Sequence[str], embed: Embed) -> list[Vector | None]:
    """Return what these facts mean; None of each where there is no embedding model. Call it outside a transaction.

    Raises:
        TransientError, PermanentError: the embedding model is configured and failed.
    """
    if not texts:
        return []
    try:
        found = embed(list(texts))
    except EmbeddingsNotConfigured:
        return [None] * len(texts)
    return [Vector(list(values), found.model, found.dimension) for values in found.vectors]
