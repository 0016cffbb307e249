"""Read Markdown or plain text as headings, paragraphs and fenced code. Pure, and linear in the size of the text.

Everybody may upload a text, so nothing here backtracks: lines are read once, in order, with string methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agentapp.policies import storable

# Characters of a heading and of a path of headings. A longer line is text, whatever it begins with.
HEADING_CHARS = 300

# An indentation below this keeps a line what its first mark says; from here on it is a listing.
_LISTING_INDENT = 4
_MOST_HASHES = 6
_COMMENT, _COMMENT_END = "<!--", "-->"
_FENCE = re.compile(r"`{3,}|~{3,}")
_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?: {1,4}|$)")


@dataclass(frozen=True)
class Block:
    kind: Literal["heading", "paragraph", "code"]
    text: str
    level: int = 0


class _Fence(NamedTuple):
    """The opening line of fenced code: its mark, and the indentation of the list item that it belongs to."""

    mark: str
    item_indent: int


def read(text: str) -> Iterator[Block]:
    """Yield the blocks of a text in order, without front matter, comments and rules.

    A fence that is never closed lasts to the end of its list item or of the text; a comment that is never closed is
    text.
    """
    lines = _lines(text)
    closings, blanks = _next(lines, _COMMENT_END), _next(lines, "")
    items: list[int] = []
    prose: list[str] = []
    at = 0
    while at < len(lines):
        fence = _fence(lines[at], items)
        if fence is not None:
            yield from _prose(prose)
            prose = []
            end = _fence_end(lines, at + 1, fence)
            yield Block("code", "\n".join(lines[at:end]))
            at = end
            continue
        shown, opened = _without_comments(lines[at])
        end = closings[at + 1] if opened is not None else len(lines)
        if end < len(lines) and (not shown[:opened].strip() or end < blanks[at + 1]):
            prose.append(shown[:opened])
            lines[end] = lines[end].partition(_COMMENT_END)[2]
            at = end
        else:
            prose.append(shown)
            at += 1
    yield from _prose(prose)


def _lines(text: str) -> list[str]:
    """Return the lines of a text, whichever line ends it has, without a byte-order mark and front matter."""
    lines = storable.text(text.lstrip("\ufeff")).splitlines()
    # A rule that begins a text is followed by a blank line, front matter by a field.
    if len(lines) > 2 and lines[0].rstrip() == "---" and ":" in lines[1]:
        end = next((at for at, line in enumerate(lines) if at and line.rstrip() == "---"), 0)
        lines = lines[end + 1 :] if end else lines
    return lines


def _next(lines: list[str], mark: str) -> list[int]:
    """Return for every line the index of the next one, itself included, that has a mark, or that is blank for ""."""
    found = [len(lines)] * (len(lines) + 1)
    for at in range(len(lines) - 1, -1, -1):
        is_it = mark in lines[at] if mark else not lines[at].strip()
        found[at] = at if is_it else found[at + 1]
    return found


def _indent(line: str) -> int:
    return len(line[: len(line) - len(line.lstrip())].expandtabs(4))


def _fence(line: str, items: list[int]) -> _Fence | None:
    """Return the fence that a line opens. `items` are the indentations of the list items around it, kept up here."""
    body, indent = line.strip(), _indent(line)
    while body and items and indent < items[-1]:
        items.pop()
    item = _ITEM.match(body)
    if item and not _is_rule(line) and indent - (items[-1] if items else 0) < _LISTING_INDENT:
        body, indent = body[item.end() :], indent + max(item.end(), 2)
        items.append(indent)
    match = _FENCE.match(body)
    around = items[-1] if items else 0
    # With a backtick behind them, three backticks are code within a line.
    if match is None or indent - around >= _LISTING_INDENT or (body[0] == "`" and "`" in body[match.end() :]):
        return None
    return _Fence(match[0], around)


def _fence_end(lines: list[str], at: int, fence: _Fence) -> int:
    """Return the index behind the last line of fenced code whose first line of code is `at`."""
    for index in range(at, len(lines)):
        body, indent = lines[index].strip(), _indent(lines[index])
        if body and indent < fence.item_indent:
            return index
        closes = body.startswith(fence.mark) and not body.strip(fence.mark[0])
        if closes and indent - fence.item_indent < _LISTING_INDENT:
            return index + 1
    return len(lines)


def _without_comments(line: str) -> tuple[str, int | None]:
    """Take out the comments that end on their line; return also where one begins that does not.

    Between backticks stands code: `<!--` begins no comment there.
    """
    shown: list[str] = []
    at = length = ticks = 0
    opened: int | None = None
    while (start := line.find(_COMMENT, at)) >= 0:
        ticks += line.count("`", at, start)
        end = start + len(_COMMENT)
        if ticks % 2:
            shown.append(line[at:end])
        else:
            shown.append(line[at:start])
            closing = line.find(_COMMENT_END, end)
            if closing < 0:
                opened, at = length + start - at, start
                break
            end = closing + len(_COMMENT_END)
        length += len(shown[-1])
        at = end
    return "".join([*shown, line[at:]]), opened


def _prose(lines: list[str]) -> Iterator[Block]:
    """Split lines without code into headings and paragraphs; blank lines part paragraphs."""
    held: list[str] = []
    for line in [*lines, ""]:
        level = _underline_level(line)
        heading = _heading(line)
        if level and len(held) == 1 and _may_be_underlined(held[0]):
            yield Block("heading", held.pop().strip(), level=level)
        elif heading is not None or not line.strip() or _is_rule(line):
            if held:
                yield Block("paragraph", "\n".join(held))
                held = []
            if heading is not None and heading.text:
                yield heading
        else:
            held.append(line.rstrip())


def _heading(line: str) -> Block | None:
    body = line.strip()
    text = body.lstrip("#")
    level = len(body) - len(text)
    if not 1 <= level <= _MOST_HASHES or text[:1].strip() or _indent(line) >= _LISTING_INDENT:
        return None
    text = text.strip()
    # Hashes behind a space close a heading; those of a word, as in C#, belong to it.
    before = text.rstrip("#")
    text = before.rstrip() if before[-1:].isspace() or not before else text
    return Block("heading", text, level=level) if len(text) <= HEADING_CHARS else None


def _underline_level(line: str) -> int:
    body = line.strip()
    if not body or body.strip(body[0]) or _indent(line) >= _LISTING_INDENT:
        return 0
    return {"=": 1, "-": 2}.get(body[0], 0)


def _may_be_underlined(line: str) -> bool:
    body = line.strip()
    is_plain = not body.startswith((">", "|")) and _ITEM.match(body) is None
    return is_plain and len(body) <= HEADING_CHARS and _indent(line) < _LISTING_INDENT


def _is_rule(line: str) -> bool:
    marks = "".join(line.split())
    is_one_mark = len(marks) > 2 and marks[0] in "-*_" and not marks.strip(marks[0])
    return is_one_mark and _indent(line) < _LISTING_INDENT
