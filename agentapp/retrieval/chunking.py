"""Cut a Markdown or plain text into passages of a size that can be quoted and embedded. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

# Words. A passage is closed once it has TARGET words, and never grows beyond LONGEST unless one code block does.
TARGET_WORDS = 120
LONGEST_WORDS = 200
# An embedding model reads a few thousand tokens: a longer listing is cut between lines after all.
LONGEST_CODE_WORDS = 1_000
# Characters of a usual word and its space, to cut what has no spaces.
WORD_CHARS = 6
# Characters of the heading path that a chunk's row can hold.
HEADING_CHARS = 300

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)\s*$")
_RULE = re.compile(r"^ {0,3}([-*_])(?:\s*\1){2,}\s*$")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
# Empty: what stands between two sentences stays with the second, so that lines of a list stay lines.
_SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s)")


@dataclass(frozen=True)
class Piece:
    """One passage: `heading` is the path of headings above it, the outermost first, joined by ` > `."""

    heading: str
    text: str


@dataclass(frozen=True)
class _Block:
    kind: Literal["heading", "paragraph", "code"]
    text: str
    level: int = 0


def chunk(text: str, *, title: str = "") -> list[Piece]:
    """Return the passages of a text in order; none is empty, and no words but headings and comments are left out.

    A passage never crosses a heading. `title` becomes the outermost heading where the text does not begin with it.
    """
    pieces: list[Piece] = []
    path: list[tuple[int, str]] = []
    section: list[_Block] = []
    for block in _blocks(text):
        if block.kind == "heading":
            pieces += _pack(_heading(title, path), section)
            path = [above for above in path if above[0] < block.level] + [(block.level, block.text)]
            section = []
        else:
            section.append(block)
    return pieces + _pack(_heading(title, path), section)


def first_heading(text: str) -> str:
    """Return the first heading of a Markdown text, or the empty string."""
    return next((block.text for block in _blocks(text) if block.kind == "heading"), "")


def _heading(title: str, path: list[tuple[int, str]]) -> str:
    names = [name for _, name in path]
    if title and title not in names[:1]:
        names.insert(0, title)
    return " > ".join(names)[:HEADING_CHARS]


def _pack(heading: str, section: list[_Block]) -> list[Piece]:
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


def _cut(section: list[_Block]) -> Iterator[_Block]:
    """Cut the blocks that are longer than a passage may be: prose between sentences, listings between lines."""
    for block in section:
        if block.kind == "code":
            for part in _joined(block.text.splitlines(keepends=True), longest=LONGEST_CODE_WORDS):
                yield _Block("code", part.strip("\n"))
        else:
            # To the size that is aimed at, so that the rest of a long paragraph finds room with the next one.
            longest = TARGET_WORDS if _size(block.text) > LONGEST_WORDS else LONGEST_WORDS
            for part in _joined(_SENTENCE_END.split(block.text), longest=longest):
                yield _Block("paragraph", part.strip())


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
    if _size(part) <= longest:
        return [part]
    return [f"{line} " for line in textwrap.wrap(part, width=longest * WORD_CHARS)]


def _size(text: str) -> int:
    """Count words; a text without spaces counts as many as its characters would make."""
    return max(len(text.split()), len(text) // (2 * WORD_CHARS))


def _blocks(text: str) -> Iterator[_Block]:
    """Read a text as headings, paragraphs and fenced code, without front matter, comments and rules."""
    text = _FRONT_MATTER.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    for kind, lines in _runs(text.split("\n")):
        body = "\n".join(lines)
        if kind == "code":
            yield _Block("code", body)
        else:
            yield from _prose(_COMMENT.sub("", body))


def _runs(lines: list[str]) -> Iterator[tuple[Literal["prose", "code"], list[str]]]:
    """Tell fenced code from everything else, in order; an open fence lasts to the end of the text."""
    held: list[str] = []
    fence = ""
    for line in lines:
        match = _FENCE.match(line)
        if not fence and match:
            yield "prose", held
            held, fence = [line], match[1]
        elif fence and match and match[1].startswith(fence) and line.strip() == match[1]:
            yield "code", [*held, line]
            held, fence = [], ""
        else:
            held.append(line)
    yield ("code" if fence else "prose"), held


def _prose(text: str) -> Iterator[_Block]:
    """Split text without code into headings and paragraphs; blank lines part paragraphs."""
    held: list[str] = []
    for line in [*text.split("\n"), ""]:
        heading = _HEADING.match(line)
        underline = _UNDERLINE.match(line)
        if underline and len(held) == 1:
            yield _Block("heading", held.pop().strip(), level=1 if "=" in line else 2)
        elif heading or not line.strip() or _RULE.match(line):
            if held:
                yield _Block("paragraph", "\n".join(held))
                held = []
            if heading and heading[2]:
                yield _Block("heading", heading[2], level=len(heading[1]))
        else:
            held.append(line.rstrip())
