"""How a document may be named: its source, its title, its collection."""

from __future__ import annotations

import re

from agentapp.errors import InvalidInput
from agentapp.policies import sentences, storable
from agentapp.policies.sentences import FieldErrors
from agentapp.retrieval import titles
from agentapp.retrieval.parsing import process

LONGEST_TEXT = process.LONGEST_TEXT
LONGEST_TITLE = titles.LONGEST
LONGEST_SOURCE = 500
LONGEST_COLLECTION = 100
_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def title(given: str) -> str:
    """Return a title as it is kept."""
    return " ".join(given.split())


def source(given: str) -> str:
    """Return a source as it is kept."""
    return given.strip()


def problems(*, source: str, title: str, text: str = "-", collection: str = "") -> FieldErrors:
    """Say what is wrong with the fields of a document. An empty collection is none that is named."""
    found = [
        {"field": field, "message": problem}
        for field, value, longest in (
            ("source", source.strip(), LONGEST_SOURCE),
            ("title", " ".join(title.split()), LONGEST_TITLE),
            ("text", text, LONGEST_TEXT),
        )
        if (problem := _problem_of(value, longest))
    ]
    if collection and not _COLLECTION.fullmatch(collection):
        words = "Name a collection with 1 to 100 letters, digits, dots, hyphens and underscores."
        found.append({"field": "collection", "message": words})
    return found


def invalid(found: FieldErrors) -> InvalidInput:
    return InvalidInput(f"The document cannot be stored: {sentences.detail(found)}", errors=found)


def _problem_of(value: str, longest: int) -> str:
    if not value:
        return "It is empty."
    if len(value) > longest:
        return f"It has {len(value)} characters; at most {longest} are possible."
    return "" if storable.is_storable(value) else "It contains characters that no text has: save it as UTF-8 text."
