"""What somebody types to find tasks, as a query of Postgres's full-text search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 200
# Shorter beginnings of words would find a large part of all words.
SHORTEST_PREFIX = 2
# An id is searched for by its beginning from so many digits on: the moment of its birth, to about a minute.
SHORTEST_ID = 8

# What the index takes for a blank, and the characters that are words by themselves: moves.plain_words in SQL does the
# same with the texts that are searched.
_BREAKS = re.compile(
    "[^\\w\u0080-\U0010ffff]|_|[\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u060c\u061b\u061f"
    "\u0964\u0965\u2000-\u206f\u2e00-\u2e7f\u3000-\u3004\u3008-\u303f\u3099-\u309c\u30a0\u30fb\uff00-\uff0f"
    "\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\ud800-\udfff]"
)
_ALONE = re.compile("([\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]*", re.IGNORECASE)


@dataclass(frozen=True)
class _Term:
    """Words that follow each other; the last one may go on. `unwanted`: they must not."""

    words: tuple[str, ...]
    is_unwanted: bool
    goes_on: bool

    def __str__(self) -> str:
        *before, last = (f"'{word}'" for word in self.words)
        phrase = " <-> ".join([*before, last + ":*" * (self.goes_on and len(self.words[-1]) >= SHORTEST_PREFIX)])
        return f"!({phrase})" if self.is_unwanted else f"({phrase})"


def expression(text: str) -> str:
    """Return what to_tsquery makes a query of: all words, "quoted phrases", no -word, and the beginning of word*.

    The last word may go on too: somebody may still be typing it. Any text will do; one without a word gives "".
    """
    return " & ".join(map(str, _terms(text[:LONGEST])))


def words(text: str) -> list[str]:
    """Return the words of a text as the index has them, but for their case."""
    return _ALONE.sub(r" \1 ", _BREAKS.sub(" ", text)).split()


def id_range(text: str) -> tuple[str, str] | None:
    """Return the first and the last id, in digits, that begin like this text; None for a text that begins no id."""
    digits = text.strip().replace("-", "").lower()
    if not _ID.fullmatch(text.strip()) or not SHORTEST_ID <= len(digits) <= 32:
        return None
    return digits.ljust(32, "0"), digits.ljust(32, "f")


def _terms(text: str) -> Iterator[_Term]:
    for found in _TERM.finditer(text):
        minus, phrase, word = found.groups()
        if terms := words(phrase if word is None else word):
            is_last = not minus and found.end() == len(text)
            goes_on = word is not None and (word.endswith("*") or is_last)
            yield _Term(tuple(terms), bool(minus), goes_on)
