"""Passages as values: what a source finds, a prompt numbers and an answer cites. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from agentapp.policies import bounds
from agentapp.retrieval import fusion

# "full_text" says that meaning was not compared: no embedding model, or none that these texts were embedded by.
Mode = Literal["fused", "full_text"]
# Characters of a cited passage that travel with a draft: one passage as it is cut, a long listing in part.
QUOTE_CHARS = 1_500

_MARK = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")


@dataclass(frozen=True)
class Passage:
    """A text that an answer may quote.

    `id` is unique within `source`, the registered source that found it; `heading` is the path of headings above the
    text; `score` orders the passages of one search and means nothing elsewhere; `url` is empty where there is none.
    """

    id: str
    source: str
    title: str
    heading: str
    text: str
    score: float
    url: str = ""


@dataclass(frozen=True)
class Found:
    """The answer of a source: passages, best first, and how they were searched."""

    passages: list[Passage]
    mode: Mode


def dump(passages: Sequence[Passage]) -> str:
    """Write passages as JSON, for an artifact."""
    return json.dumps([asdict(passage) for passage in passages], ensure_ascii=False)


def load(text: str) -> list[Passage]:
    """Read what dump() wrote."""
    return [Passage(**fields) for fields in json.loads(text)]


def merge(found: Sequence[Sequence[Passage]], *, limit: int) -> list[Passage]:
    """Return the best passages of several sources, best first, by their places; a text comes only once."""
    by_text: dict[str, Passage] = {}
    for passages in found:
        for passage in passages:
            by_text.setdefault(passage.text, passage)
    ranked = fusion.fuse([list(dict.fromkeys(passage.text for passage in passages)) for passages in found])
    return [replace(by_text[text], score=round(score, 6)) for text, score in ranked[:limit]]


def cited(draft: str, numbered: Sequence[Passage]) -> list[dict[str, Any]]:
    """Return what a draft cites by marks such as [1] or [1, 3], in the order of the numbers.

    The first passage is number 1. A number that no passage has is no citation. Each is {"n", "title", "heading",
    "source", "text", "url"}; `text` is what an approver compares the draft with, cut after QUOTE_CHARS characters.
    """
    marks = {bounds.whole(number.strip(), most=9_999) for mark in _MARK.findall(draft) for number in mark.split(",")}
    return quoted({number for number in marks if number is not None}, numbered)


def unmarked(text: str) -> str:
    """Return a text without what looks like a citation."""
    return " ".join(_MARK.sub("", text).split())


def quoted(numbers: Collection[int], numbered: Sequence[Passage]) -> list[dict[str, Any]]:
    """Return the passages of these numbers as cited() does."""
    return [
        {
            "n": number,
            "title": passage.title,
            "heading": passage.heading,
            "source": passage.source,
            "text": passage.text[:QUOTE_CHARS],
            "url": passage.url,
        }
        for number, passage in enumerate(numbered, start=1)
        if number in numbers
    ]
