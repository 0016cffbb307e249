"""Sentences, words and how close two texts are."""

from __future__ import annotations

import re
from functools import lru_cache

from agentapp.offline_model import vectors

LONGEST_CHARS = 420
WORDY = 30

_BLOCK_START = re.compile(r"^\s*(?:[-*+]\s+|\d+[.)]\s+|#{1,6}\s+|\|)")
_MARKS = re.compile(r"^\s*(?:[-*+]\s+|\d+[.)]\s+|#{1,6}\s+|>\s+)")
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[A-Z0-9`])")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
_RULE = re.compile(r"^[\s|:=_*`~-]*$")

_STOP_WORDS = """
    a about after again all also am an and any are as at be because been before being both but by can cannot could
    did do does doing done down each else ever every few for from further get gets getting got had has have having he
    hello help her here hers hey hi him his how i if in into is it its itself just know let like may me might more most
    must my need needs no nor not now of off on once one only or other our out over own per please possible regards
    really same shall she should so some still such tell than thank thanks that the their them then there these they
    thing things this those through to too under until up us very via want was we well were what when where whether
    which while who whom whose why will wish with within without wonder would you your yours dear kind best question
    many much long work works way i'm i've it's don't can't what's
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_SUFFIXES = ("ations", "ation", "ings", "ing", "ments", "ment", "ied", "ies", "ers", "ed", "er", "es", "ly", "s", "e")


def split(text: str) -> list[str]:
    """Split plain text or Markdown into sentences, in order, without list and heading marks.

    Wrapped lines are joined; a list item, a heading, a table row and a line of code stand for themselves.
    """
    found: list[str] = []
    for block in _blocks(text):
        for sentence in _END.split(_MARKS.sub("", block)):
            clean = " ".join(sentence.split())
            if clean and not _RULE.match(clean):
                found.append(clean)
    return found


def _blocks(text: str) -> list[str]:
    """Join the wrapped lines of a paragraph or list item."""
    blocks: list[list[str]] = []
    open_block = in_code = False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        in_code = in_code != fence
        if fence or not line.strip():
            open_block = False
        elif open_block and not in_code and not _BLOCK_START.match(line):
            blocks[-1].append(line.strip())
        else:
            blocks.append([line.strip()])
            open_block = not line.lstrip().startswith("#")
    return [" ".join(lines) for lines in blocks]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, in order."""
    return [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]


@lru_cache(maxsize=20_000)
def stems(text: str) -> frozenset[str]:
    """Return the stems of the words that carry meaning."""
    return frozenset(_stem(word) for word in words(text) if word not in STOP_WORDS)


def _stem(word: str) -> str:
    """Cut the commonest English endings, so that `approved` and `approval` are near and `replaying` is `replay`."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word.removesuffix(suffix)
    return word


def overlap(query: str, text: str) -> float:
    """Return the share of the query's meaningful words that the text has, 0 to 1."""
    wanted = stems(query)
    return len(wanted & stems(text)) / len(wanted) if wanted else 0.0


@lru_cache(maxsize=50_000)
def closeness(query: str, text: str) -> float:
    """Return how well a text speaks about a query, 0 to 1: half shared words, half shared meaning.

    One shared word of three says little, so shares count to the power 1.5; a long enumeration shares words with
    everything, so words beyond WORDY weigh against it. Meaning alone counts three quarters: a paraphrase shares none.
    """
    meaning = max(0.0, vectors.similarity(query.lower(), text.lower()))
    terse = min(1.0, 0.5 + 0.5 * WORDY / max(1, len(words(text))))
    shared: float = terse * overlap(query, text) ** 1.5
    return max(0.5 * shared + 0.5 * meaning, 0.75 * meaning)


def contains(text: str, quote: str) -> bool:
    """Say whether a text has the quote word by word; marks and spaces do not count."""
    inner = " ".join(words(quote))
    return bool(inner) and f" {inner} " in f" {' '.join(words(text))} "
