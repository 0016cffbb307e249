"""A text beside what it cites: its sentences, the marks such as [1] in them, and the sentences that cite nothing.

The pieces joined are the text, byte for byte: a person approves bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from agentapp.admin import hidden_characters

_MARK = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
_NUMBER = re.compile(r"\d{1,4}")
# A sentence ends behind its stops, with the marks that follow them in the same line, or at the end of a line. Stops of
# Chinese and Japanese need no blank behind them. Nothing here goes back over what it has read: a model wrote the text.
_STOPS, _WIDE_STOPS = ".!?\u2026\u061f", "\u3002\uff01\uff1f"
_MARKS = r"(?:[ \t]*+\[\d{1,4}(?:[ \t]*+,[ \t]*+\d{1,4})*+\])*+"
_CLOSERS = "\"')\u201d\u2019\u00bb"
_END = re.compile(rf"(?<![{_STOPS}])[{_STOPS}]++[{_CLOSERS}]*+{_MARKS}(?=\s|$)|[{_WIDE_STOPS}]++{_MARKS}|\n++")
# A greeting claims nothing; a sentence of so many words may.
_LEAST_WORDS = 4
_CLAIMS = tuple(set(_STOPS + _WIDE_STOPS) - set("?\u061f\uff1f"))


@dataclass(frozen=True)
class Piece:
    """Text as it is; `name` of one character that would not be seen; `source` where it is the number of a mark.
    `is_known`: there is a source of that number."""

    text: str
    name: str = ""
    source: str = ""
    is_known: bool = False


@dataclass(frozen=True)
class Sentence:
    """`sources` are the numbers that it cites. `is_bare`: it claims something and cites nothing."""

    pieces: list[Piece]
    sources: list[str] = field(default_factory=list)
    is_bare: bool = False


def sentences(text: str, known: Collection[str]) -> list[Sentence]:
    """Split a text that cites sources with the numbers `known`. Where there are none, no sentence is bare: the page
    says once that the text cites nothing."""
    return [_sentence(each, known) for each in _split(text)]


def _split(text: str) -> Iterator[str]:
    start = 0
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        # Blanks before a sentence are by themselves, so that they are not underlined.
        first = end - len(text[start:end].lstrip())
        yield from filter(None, (text[start:first], text[first:end]))
        start = end


def _sentence(text: str, known: Collection[str]) -> Sentence:
    cited = [number for mark in _MARK.findall(text) for number in _NUMBER.findall(mark)]
    claims = text.rstrip().endswith(_CLAIMS) and len(text.split()) >= _LEAST_WORDS
    return Sentence(list(_pieces(text, known)), list(dict.fromkeys(cited)), bool(known) and claims and not cited)


def _pieces(text: str, known: Collection[str]) -> Iterator[Piece]:
    at = 0
    for mark in _MARK.finditer(text):
        for number in _NUMBER.finditer(text, mark.start(), mark.end()):
            # Of [1] the brackets belong to the link, of [1, 3] they do not.
            alone = number.group() == mark.group()[1:-1]
            start, end = (mark.start(), mark.end()) if alone else number.span()
            yield from _plain(text[at:start])
            yield Piece(text[start:end], source=number.group(), is_known=number.group() in known)
            at = end
    yield from _plain(text[at:])


def _plain(text: str) -> Iterator[Piece]:
    for stretch in hidden_characters.reveal(text):
        yield Piece(stretch.text, name=stretch.name)
