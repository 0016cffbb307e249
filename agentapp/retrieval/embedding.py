"""Which vector space we are in: the embedding model that is configured, and the texts that it gets."""

from __future__ import annotations

from typing import Protocol

from django.conf import settings

from agentapp.errors import ModelRefused
from agentapp.llm.answers import Embeddings


class Embed(Protocol):
    """Turns texts into vectors, by the configured model or by one that was configured before.

    It raises EmbeddingsNotConfigured where there is no embedding model.
    """

    def __call__(self, texts: list[str], /, *, model: str = "") -> Embeddings: ...


def by_model(embed: Embed, texts: list[str], *, model: str) -> Embeddings:
    """Return the vectors of a model that was configured before, or of the configured one if that is gone."""
    if model in ("", model_name()):
        return embed(texts)
    try:
        return embed(texts, model=model)
    except ModelRefused:
        return embed(texts)


def model_name() -> str:
    """Return the name of the configured embedding model, or the empty string: search is full text alone then."""
    return str(settings.AGENTAPP_EMBEDDING_MODEL) if settings.AGENTAPP_EMBEDDING_URL else ""


def passage_text(*, heading: str, text: str) -> str:
    """Return what is embedded of a chunk: its headings say what a short paragraph is about."""
    return f"{heading}\n{text}" if heading else text
