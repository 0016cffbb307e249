"""Texts into vectors, in batches of the size that the provider takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agentapp import clock
from agentapp.errors import InvalidModelOutput
from agentapp.llm import answers, connection, learned, prices, reading
from agentapp.llm.answers import Embeddings
from agentapp.llm.connection import Provider
from agentapp.llm.failures import Refused, decisive

# What says that a request holds too much; one that is wrong otherwise is refused for a single text as well.
_TOO_MANY_STATUS = frozenset({400, 413, 422})
# pgvector keeps no more numbers, and each as a float of 4 bytes.
MOST_DIMENSIONS = 16_000
LARGEST = 3.4e38


def embed_all(provider: Provider, model: str, texts: Sequence[str], *, timeout_s: float, ends_s: float) -> Embeddings:
    """Return one vector per text. Where too many texts are refused, half as many are sent, and that is remembered.

    Raises:
        Refused: never; it becomes the error that says what happens next.
        TransientError, ModelRefused, InvalidModelOutput: see agentapp.llm.client.embed.
    """
    known = learned.recall(provider.base_url, model)
    vectors: list[list[float]] = []
    tokens, size, first = 0, known.batch, None
    while len(vectors) < len(texts):
        batch = list(texts[len(vectors) : len(vectors) + size])
        try:
            found, used = _embed(provider, model, batch, ends_s=min(ends_s, time.monotonic() + timeout_s))
        except Refused as refused:
            first = first or refused
            if refused.effective_status not in _TOO_MANY_STATUS or refused.refusal.is_definite or len(batch) == 1:
                raise decisive(first, refused, now=clock.now()) from None
            size = (len(batch) + 1) // 2
            continue
        vectors += found
        tokens += used
    dimensions = {len(vector) for vector in vectors}
    if len(dimensions) > 1:
        raise InvalidModelOutput(f"the embedding model mixed vectors of the dimensions {sorted(dimensions)}")
    if size < known.batch:
        learned.remember(provider.base_url, model, replace(known, batch=size))
    cost = prices.price(model, prompt_tokens=tokens, completion_tokens=0)
    return Embeddings(
        vectors=vectors, model=model, dimension=dimensions.pop() if dimensions else 0, tokens=tokens,
        cost_usd=cost.cost_usd, cost_known=cost.known,
    )  # fmt: skip


def _embed(provider: Provider, model: str, batch: list[str], *, ends_s: float) -> tuple[list[list[float]], int]:
    # Float, not the client's default base64: every compatible provider knows it.
    body = {"model": model, "input": batch, "encoding_format": "float"}
    with connection.embeddings(provider, body, ends_s=ends_s) as incoming:
        answer = reading.as_object(reading.document(incoming.read()))
    usage = answer.get("usage")
    used = reading.tokens(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
    return _vectors(answer.get("data"), len(batch)), answers.estimate_tokens(batch) if used is None else used


def _vectors(data: Any, wanted: int) -> list[list[float]]:
    """Return the vectors in the order of their texts, which `index` says; without it, in that of the answer."""
    items = data if isinstance(data, list) else []
    if len(items) != wanted:
        raise InvalidModelOutput(f"asked for {wanted} embeddings, got {len(items)}")
    found: dict[int, list[float]] = {}
    for place, item in enumerate(items):
        index = item.get("index", place) if isinstance(item, dict) else place
        if not isinstance(index, int) or isinstance(index, bool) or index in found or not 0 <= index < wanted:
            raise InvalidModelOutput(f"the embedding model numbered a vector {index!r} of {wanted}")
        found[index] = _vector(item.get("embedding") if isinstance(item, dict) else None, index)
    return [found[index] for index in range(wanted)]


def _vector(value: Any, index: int) -> list[float]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_DIMENSIONS:
        what = f"{len(value)} numbers" if isinstance(value, list) else type(value).__name__
        raise InvalidModelOutput(f"vector {index} of the embedding model is {what} instead of a list of numbers")
    for number in value:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        # NaN is not smaller than anything.
        if not is_number or not abs(number) <= LARGEST:
            said = "null" if number is None else f"{number!r:.40}"
            raise InvalidModelOutput(f"vector {index} of the embedding model holds {said}, which is no number")
    return [float(number) for number in value]
