"""Facts about a customer, by plain cues: sentences in which they speak of themselves, word for word."""

from __future__ import annotations

import re
from typing import Any

from agentapp.offline_model import sentences

_OF_SELF = re.compile(
    r"\b(?:(?:I|we) (?:am|are|live|work|pay|prefer|use|run|own|moved|speak|only|always|never)|I'm|we're|my name is"
    r"|call me|(?:my|our) (?:company|team|address|phone|account|office))\b",
    re.IGNORECASE,
)
# The share of words that two facts have in common which say different things of the same.
_ABOUT_THE_SAME = 0.5


def facts(conversations: list[tuple[int, str]], known: list[tuple[int, str]]) -> list[dict[str, Any]]:
    """Return what the customer says of themselves that is not known, and which known fact it is said instead of."""
    found: list[dict[str, Any]] = []
    for number, text in conversations:
        for sentence in sentences.split(text):
            if sentence.endswith("?") or not _OF_SELF.search(sentence):
                continue
            said = f"The customer says: {sentence}"
            if not any(said == fact for _, fact in known) and all(said != one["text"] for one in found):
                found.append({"text": said, "conversation": number, "replaces": _instead_of(said, known)})
    return found


def _instead_of(said: str, known: list[tuple[int, str]]) -> int | None:
    stems = sentences.stems(said)
    shares = [(len(stems & other) / len(stems | other), n) for n, text in known if (other := sentences.stems(text))]
    best, number = max(shares, default=(0.0, 0))
    return number if best >= _ABOUT_THE_SAME else None
