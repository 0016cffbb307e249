"""Cut a Markdown or plain text into passages of a size that can be quoted and embedded. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentapp.retrieval import blocks
from agentapp.retrieval.blocks import Block

# Words. A passage is closed once it has TARGET words, and never grows beyond LONGEST unless one code block does.
TARGET_WORDS = 120
LONGEST_WORDS = 200
# An embedding model reads a few thousand tokens: a longer listing is cut between lines after all.
LONGEST_CODE_WORDS = 1_000
# Characters of a usual word and its space, to cut what has no spaces.
WORD_CHARS = 6

# Empty: what stands between two sentences stays with the second, so that lines of a list stay lines.
_SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s)")


@dataclass(frozen=True)
class Piece:
    """One passage: `heading` is the path of headings above it, the outermost first, joined by ` > `."""

    heading: str
    text: str


def chunk(text: str, *, title: str = "") -> list[Piece]:
    """Return the passages of a text in order; none is empty, and no words but headings and comments are left out.

    A passage never crosses a heading. `title` becomes the outermost heading where the text does not begin with it.
    """
    pieces: list[Piece] = []
    path: list[tuple[int, str]] = []
    section: list[Block] = []
    for block in blocks.read(text):
        if block.kind == "heading":
            pieces += _pack(_heading(title, path), section)
            path = [above for above in path if above[0] < block.level] + [(block.level, block.text)]
            section = []
        else:
            section.append(block)
    return pieces + _pack(_heading(title, path), section)


def first_heading(text: str) -> str:
    """Return the first heading of a Markdown text, or the empty string."""
    return next((block.text for block in blocks.read(text) if block.kind == "heading"), "")


def _heading(title: str, path: list[tuple[int, str]]) -> str:
    names = [name for _, name in path]
    if title and title not in names[:1]:
        names.insert(0, title)
    return " > ".join(names)[: blocks.HEADING_CHARS]


def _pack(heading: str, section: list[Block]) -> list[Piece]:
    """Join the blocks of a section to passages: as many as fit, at least one each."""
    pieces: list[Piece] = []
    held: list[str] = []
    words = 0
    for block in _cut(section):
        size = _size(block.text)
        if held and (words >= TARGET_WORDS or words + size > LONGEST_WORDS):
            pieces.append(Piece(heading, "\n\n".join(held)))
            held, words = [], 0
        held.append(block.text)
        words += size
    return [*pieces, Piece(heading, "\n\n".join(held))] if held else pieces


def _cut(section: list[Block]) -> Iterator[Block]:
    """Cut the blocks that are too long for a passage: prose between sentences, listings and tables between lines."""
    for block in section:
        if block.kind == "code":
            parts, longest = block.text.splitlines(keepends=True), LONGEST_CODE_WORDS
        else:
            # To the size that is aimed at, so that the rest of a long paragraph finds room with the next one.
            longest = TARGET_WORDS if _size(block.text) > LONGEST_WORDS else LONGEST_WORDS
            lines = block.text.splitlines(keepends=True)
            parts = lines if _is_table(lines) else _SENTENCE_END.split(block.text)
        for part in _joined(parts, longest=longest):
            if part.strip():
                yield Block(block.kind, part.strip("\n" if block.kind == "code" else None))


def _is_table(lines: list[str]) -> bool:
    return len(lines) > 1 and all("|" in line for line in lines)


def _joined(parts: Iterable[str], *, longest: int) -> Iterator[str]:
    """Join neighbouring parts to texts of at most `longest` words; a part that is longer is cut."""
    held, words = "", 0
    for part in (piece for whole in parts for piece in _short(whole, longest=longest)):
        size = _size(part)
        if held and words + size > longest:
            yield held
            held, words = "", 0
        held += part
        words += size
    if held.strip():
        yield held


def _short(part: str, *, longest: int) -> list[str]:
    """Cut a part that is too long between its lines, and within a line that is itself too long."""
    if _size(part) <= longest:
        return [part]
    pieces: list[str] = []
    for line in part.splitlines(keepends=True):
        if _size(line) <= longest:
            pieces.append(line)
        else:
            cut = list(_wrapped(line, width=longest * WORD_CHARS))
            pieces += [f"{piece} " for piece in cut[:-1]] + [f"{piece}\n" for piece in cut[-1:]]
    return pieces


def _wrapped(line: str, *, width: int) -> Iterator[str]:
    """Cut a line between words, and a word that is longer. (textwrap copies the rest of a long word for each cut.)"""
    held: list[str] = []
    length = 0
    for word in line.split():
        for at in range(0, len(word), width):
            part = word[at : at + width]
            if held and length + len(part) > width:
                yield " ".join(held)
                held, length = [], 0
            held.append(part)
            length += len(part) + 1
    if held:
        yield " ".join(held)


def _size(text: str) -> int:
    """Count words; a text without spaces counts as many as its characters would make."""
    return max(len(text.split()), len(text) // (2 * WORD_CHARS))
