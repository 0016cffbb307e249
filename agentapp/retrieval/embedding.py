"""Which vector space we are in: the embedding model that is configured, and the texts that it gets."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings

from agentapp.llm.answers import Embeddings

# Turns texts into vectors; raises EmbeddingsNotConfigured where there is no embedding model.
Embed = Callable[[list[str]], Embeddings]


def model_name() -> str:
    """Return the name of the configured embedding model, or the empty string: search is full text alone then."""
    return str(settings.AGENTAPP_EMBEDDING_MODEL) if settings.AGENTAPP_EMBEDDING_URL else ""


def passage_text(*, heading: str, text: str) -> str:
    """Return what is embedded of a chunk: its headings say what a short paragraph is about."""
    return f"{heading}\n{text}" if heading else text
