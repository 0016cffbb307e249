"""Passages as values: what a source finds, a prompt numbers and an answer cites. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from agentapp.errors import PermanentError
from agentapp.policies import bounds, storable
from agentapp.retrieval import fusion

# "full_text" says that meaning was not compared: no embedding model, or none that these texts were embedded by.
Mode = Literal["fused", "full_text"]
# Characters of a cited passage that travel with a draft: one passage as it is cut, a long listing in part.
QUOTE_CHARS = 1_500
# What is kept of a passage of any source.
LONGEST_TEXT, LONGEST_NAME, LONGEST_URL = 20_000, 500, 2_000

_MARK = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")


@dataclass(frozen=True)
class Passage:
    """A text that an answer may quote.

    `id` is unique within `source`, the registered source that found it; `heading` is the path of headings above the
    text; `score` orders the passages of one search and means nothing elsewhere; `url` is empty where there is none.
    `is_untrusted`: others wrote it, as they wrote documents; only a person or a key that vouches for a text says no.
    """

    id: str
    source: str
    title: str
    heading: str
    text: str
    score: float
    url: str = ""
    is_untrusted: bool = True


@dataclass(frozen=True)
class Found:
    """The answer of a source: passages, best first, and how they were searched."""

    passages: list[Passage]
    mode: Mode


def kept(found: object, *, limit: int) -> Found:
    """Return what a source has answered as it can be stored and told: at most `limit` passages, each within bounds.

    Raises:
        PermanentError: the answer is none, or the text of a passage is no text.
    """
    if not isinstance(found, Found) or not all(isinstance(one, Passage) for one in found.passages[:limit]):
        raise PermanentError("The source has returned something else than passages.")
    return Found([_kept(passage) for passage in found.passages[:limit]], found.mode)


def _kept(passage: Passage) -> Passage:
    if not isinstance(passage.text, str):
        raise PermanentError(f"The source has returned a passage whose text is a {type(passage.text).__name__}.")
    score = passage.score if isinstance(passage.score, int | float) and math.isfinite(passage.score) else 0.0
    return Passage(
        id=_name(passage.id), source=_name(passage.source), title=_name(passage.title), heading=_name(passage.heading),
        text=storable.text(passage.text, most=LONGEST_TEXT), score=score, url=_name(passage.url, most=LONGEST_URL),
    )  # fmt: skip


def _name(given: object, *, most: int = LONGEST_NAME) -> str:
    return "" if given is None else storable.text(str(given), most=most)


def dump(passages: Sequence[Passage]) -> str:
    """Write passages as JSON, for an artifact."""
    return json.dumps(fields(passages), ensure_ascii=False)


def fields(passages: Iterable[Passage]) -> list[dict[str, Any]]:
    """Return what is stored of passages: read again, they are untrusted. A worker of the release before reads them
    too, and knows no other fields."""
    return [{name: value for name, value in asdict(one).items() if name != "is_untrusted"} for one in passages]


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
    "source", "text", "url"}, and "trusted" where somebody vouches for it; `text` is what an approver compares the draft
    with, cut after QUOTE_CHARS characters.
    """
    marks = {bounds.whole(number.strip(), most=9_999) for mark in _MARK.findall(draft) for number in mark.split(",")}
    return quoted({number for number in marks if number is not None}, numbered)


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
        | ({} if passage.is_untrusted else {"trusted": True})
        for number, passage in enumerate(numbered, start=1)
        if number in numbers
    ]
