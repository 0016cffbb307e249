"""The structure of a prompt: text in `<tag>` sections, and passages among them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_TAG = re.compile(r"<(?:(?P<opens>[a-zA-Z][\w-]*)(?P<attributes>(?:\s[^<>]*)?)|/(?P<closes>[a-zA-Z][\w-]*)\s*)>")
# From the beginning of a name only: a long one would be tried again from each of its characters.
_ATTRIBUTE = re.compile(r"(?<![\w-])([\w-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_DEEPEST = 8


@dataclass(frozen=True)
class Passage:
    """A numbered text that an answer may cite as [id]."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """What stands between a tag and the next one that closes it; `start` and `end` include both tags."""

    tag: str
    attributes: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Prompt:
    """What the messages say: `sections` by tag (outermost only, in order), and the plain text of the last user turn."""

    sections: dict[str, list[str]]
    text: str

    def latest(self, tag: str) -> str:
        """Return the plain text of the last section of a tag, or the empty string."""
        found = self.sections.get(tag, [])
        return plain(found[-1]) if found else ""

    def all(self, tag: str) -> list[str]:
        """Return the plain texts of every section of a tag that says something."""
        return [text for text in (plain(found) for found in self.sections.get(tag, [])) if text]

    def passages(self) -> list[Passage]:
        """Return the passages, numbered from 1 where they carry no id."""
        passages: list[Passage] = []
        for found in self.sections.get("passages", []) + self.sections.get("documents", []):
            for section in _sections(found, only="passage"):
                attributes = _attributes(section.attributes)
                number = attributes.get("id") or str(len(passages) + 1)
                passages.append(Passage(number, attributes.get("title", ""), html.unescape(section.text).strip()))
        return passages

    def numbered(self, tag: str) -> list[tuple[int, str]]:
        """Return the items of a section by their numbers, in their order."""
        found = [inner for text in self.sections.get(tag, []) for inner in _sections(text, only="item")]
        numbers = [_attributes(section.attributes).get("id", "") for section in found]
        return [(int(n), plain(one.text)) for n, one in zip(numbers, found, strict=True) if n.isdecimal()]

    def statements(self) -> list[str]:
        """Return the statements that are to be combined, in the order of their ids."""
        found = [inner for text in self.sections.get("statements", []) for inner in _sections(text, only="statement")]
        return [plain(section.text) for section in found]


def read(messages: Sequence[dict[str, Any]]) -> Prompt:
    """Read the messages of a request. Sections of user turns count; without any user turn, those of every turn."""
    turns = [text_of(message) for message in messages if message.get("role") == "user"]
    turns = turns or [text_of(message) for message in messages]
    sections: dict[str, list[str]] = {}
    for turn in turns:
        for section in _sections(turn):
            sections.setdefault(section.tag.lower(), []).append(section.text)
    last = turns[-1] if turns else ""
    marked = [section.text for section in _sections(last)]
    return Prompt(sections=sections, text=plain("\n".join(marked) if marked else last))


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message, whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def plain(marked: str) -> str:
    """Take the tags of sections and the escapes out; a lone `<id>` is text and stays."""
    for _ in range(_DEEPEST):
        found = _sections(marked)
        if not found:
            break
        pieces, at = [], 0
        for section in found:
            pieces += [marked[at : section.start], "\n", section.text, "\n"]
            at = section.end
        marked = "".join([*pieces, marked[at:]])
    return html.unescape(marked).strip()


def _sections(text: str, *, only: str = "") -> list[Section]:
    """Return the outermost sections of a text in order, of all tags or of one. A tag that is never closed is text.

    Read once, whatever stands there: who looks for the end of each tag reads a text of open tags over and over.
    """
    tags = list(_TAG.finditer(text))
    closing: dict[str, re.Match[str]] = {}
    ends: list[re.Match[str] | None] = []
    for tag in reversed(tags):
        ends.append(closing.get(tag["opens"] or ""))
        if tag["closes"]:
            closing[tag["closes"]] = tag
    found: list[Section] = []
    for tag, end in zip(tags, reversed(ends), strict=True):
        is_inner = bool(found) and tag.start() < found[-1].end
        if end is None or is_inner or (only and tag["opens"] != only):
            continue
        inner = text[tag.end() : end.start()]
        found.append(Section(tag["opens"], tag["attributes"], inner, tag.start(), end.end()))
    return found


def _attributes(text: str) -> dict[str, str]:
    return {name.lower(): html.unescape(double or single) for name, double, single in _ATTRIBUTE.findall(text)}
