"""Passages on their way into the knowledge base, as texts for artifacts: before and after they are embedded. Pure."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from agentapp.llm.answers import Embeddings
from agentapp.retrieval.chunking import Piece

# As many texts as most embedding models take at once.
SIZE = 64
MOST_PIECES = 10_000


@dataclass(frozen=True)
class Batch:
    """Passages that stand one after the other, with a vector each, or none where nothing embeds."""

    pieces: list[Piece]
    embedded: Embeddings | None


def of(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    for start in range(0, len(pieces), SIZE):
        yield pieces[start : start + SIZE]


def dump(pieces: Sequence[Piece]) -> str:
    return json.dumps([asdict(piece) for piece in pieces], ensure_ascii=False)


def load(text: str) -> list[Piece]:
    """Read what dump() wrote."""
    return [Piece(**fields) for fields in json.loads(text)]


def dump_embedded(batch: Batch) -> str:
    # What the call cost was recorded with it.
    given = batch.embedded
    embedded = given and {
        "vectors": given.vectors, "model": given.model, "dimension": given.dimension, "tokens": given.tokens,
    }  # fmt: skip
    return json.dumps({"pieces": [asdict(piece) for piece in batch.pieces], "embedded": embedded}, ensure_ascii=False)


def load_embedded(text: str) -> Batch:
    """Read what dump_embedded() wrote. Vectors are packed as Postgres keeps them: a list of numbers takes eight times
    as much memory."""
    found = json.loads(text)
    embedded = Embeddings(**found["embedded"]) if found["embedded"] else None
    if embedded:
        embedded = replace(embedded, vectors=[array("f", vector) for vector in embedded.vectors])
    return Batch([Piece(**fields) for fields in found["pieces"]], embedded)
