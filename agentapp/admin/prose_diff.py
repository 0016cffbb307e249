"""What changed between two texts, word by word: the form in which people read prose."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

# Beyond this many words the comparison goes line by line: word by word would take seconds.
_MOST_WORDS = 6_000


@dataclass(frozen=True)
class Piece:
    """A stretch of text: `kind` is same, added or removed."""

    kind: str
    text: str


def compare(before: str, after: str) -> list[Piece]:
    """Return the pieces in reading order: joined without the added ones they are `before`, without the removed ones
    `after`."""
    pattern = r"\s+|\w+|[^\w\s]+" if len(before) + len(after) < _MOST_WORDS * 6 else r"[^\n]*\n|[^\n]+"
    old, new = re.findall(pattern, before), re.findall(pattern, after)
    pieces: list[Piece] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(old[i1:i2])))
            continue
        if i2 > i1:
            pieces.append(Piece("removed", "".join(old[i1:i2])))
        if j2 > j1:
            pieces.append(Piece("added", "".join(new[j1:j2])))
    return pieces
