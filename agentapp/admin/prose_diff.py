"""What changed between two texts, word by word: the form in which people read prose.

A model wrote one of them, so the work is bounded: where single words would take too long, lines are compared, and at
last nothing but what the texts begin and end with alike.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

WORDS, LINES = re.compile(r"\s+|\w+|[^\w\s]+"), re.compile(r"[^\n]*\n|[^\n]+")
# Comparisons of two words, about a second of them.
MOST_COMPARISONS = 2_000_000


@dataclass(frozen=True)
class Piece:
    """A stretch of text: `kind` is same, added or removed."""

    kind: str
    text: str


class TooMuch(Exception):
    """The texts are too large, or too much alike in too many places, to be compared in this way."""


class _Bounded(difflib.SequenceMatcher[str]):
    """Counts the comparisons before it makes them: equal words in many places make it quadratic, and worse."""

    def __init__(self, old: list[str], new: list[str]) -> None:
        super().__init__(a=old, b=new, autojunk=False)
        self.left = MOST_COMPARISONS
        times = Counter(new)
        # How many comparisons the words before each place of `old` cost.
        self._before = [0, *accumulate(1 + times[word] for word in old)]

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> difflib.Match:
        self.left -= self._before[-1 if ahi is None else ahi] - self._before[alo]
        if self.left < 0:
            raise TooMuch
        return super().find_longest_match(alo, ahi, blo, bhi)


def compare(before: str, after: str) -> list[Piece]:
    """Return the pieces in reading order: joined without the added ones they are `before`, without the removed ones
    `after`."""
    for unit in (WORDS, LINES):
        try:
            return _compared(unit.findall(before), unit.findall(after))
        except TooMuch:
            continue
    return _around(before, after)


def _compared(old: list[str], new: list[str]) -> list[Piece]:
    """Raises TooMuch."""
    pieces: list[Piece] = []
    for tag, i1, i2, j1, j2 in _Bounded(old, new).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(old[i1:i2])))
            continue
        if i2 > i1:
            pieces.append(Piece("removed", "".join(old[i1:i2])))
        if j2 > j1:
            pieces.append(Piece("added", "".join(new[j1:j2])))
    return pieces


def _around(before: str, after: str) -> list[Piece]:
    """Compare only how both begin and end."""
    start = _alike(before, after)
    rest = min(len(before), len(after)) - start
    end = min(rest, _alike(before[::-1], after[::-1]))
    found = (
        Piece("same", before[:start]),
        Piece("removed", before[start : len(before) - end]),
        Piece("added", after[start : len(after) - end]),
        Piece("same", before[len(before) - end :]),
    )
    return [piece for piece in found if piece.text]


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))
