"""The parts of a question, and where the passages answer them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentapp.offline_model import sentences
from agentapp.offline_model.sections import Passage

# Below this closeness a sentence is about something else. Found on the questions in the tests: strangers stay under
# 0.2, a paraphrase without one shared word reaches about 0.2, an answer in the same words 0.35 and more.
RELEVANT = 0.24
SHORTEST_WORDS = 3

_ASKING = r"how|what|when|where|why|who|whose|which|can|could|does|do|did|is|are|will|would|should|may|must|has|have"
_ASKS = re.compile(rf"^(?:(?:and|or|also|but|so|then|please|hello|hi)\W+)*(?:{_ASKING})\b", re.IGNORECASE)
_EMBEDDED = re.compile(r"\b(?:how|what|when|where|why|who|which|whether)\b", re.IGNORECASE)
_QUOTES = re.compile(r"[“”\"]")
_JOINT = re.compile(rf"(?:,|(?<![\s,]))\s+(?:and|or|also)(?:\s+also)?\s+(?=(?:{_ASKING}|if|whether)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Hit:
    """A sentence of a passage and how close it is to a part of the question, 0 to 1."""

    passage: Passage
    sentence: str
    closeness: float


def parts(question: str) -> list[str]:
    """Split a question into what it asks, each part once; the whole question when nothing in it asks.

    A question inside a statement ("I wonder how ...") counts only when nothing asks openly.
    """
    pieces = [piece for sentence in sentences.split(question) for piece in _JOINT.split(sentence)]
    # Quotation marks go: a critique quotes the parts that it misses.
    meaningful = [_QUOTES.sub("", piece).strip(" ,;:.!") for piece in pieces if sentences.stems(piece)]
    asking = [piece for piece in meaningful if piece.endswith("?") or _ASKS.match(piece)]
    asking = asking or [piece for piece in meaningful if _EMBEDDED.search(piece)]
    found = [piece.rstrip(" ?") for piece in asking]
    return list(dict.fromkeys(found)) or [" ".join(_QUOTES.sub("", question).split())]


def hits(part: str, passages: list[Passage], *, context: str = "") -> list[Hit]:
    """Return the sentences of the passages by closeness to a part, the closest first.

    `context` is the whole question: of two sentences that answer the part alike, the one nearer to it wins, and a
    part that says only "it" finds its subject there.
    """
    found = []
    for passage in passages:
        for sentence in sentences.split(passage.text):
            if len(sentences.words(sentence)) >= SHORTEST_WORDS and len(sentence) <= sentences.LONGEST_CHARS:
                near = _near(part, sentence, title=passage.title, context=context)
                found.append(Hit(passage, sentence, near))
    return sorted(found, key=lambda hit: -hit.closeness)


def _near(part: str, sentence: str, *, title: str, context: str) -> float:
    """Weigh a sentence: itself first, then the title it stands under, then the rest of the question."""
    own = sentences.closeness(part, sentence)
    titled = max(own, 0.9 * sentences.closeness(part, f"{title}: {sentence}")) if title else own
    return 0.85 * titled + 0.15 * sentences.closeness(context, sentence) if context else titled


def best(part: str, passages: list[Passage], *, context: str = "") -> Hit | None:
    """Return the sentence that answers a part, or None when no passage is about it."""
    found = hits(part, passages, context=context)
    return found[0] if found and found[0].closeness >= RELEVANT else None
