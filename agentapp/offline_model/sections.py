"""The structure of a prompt: text in `<tag>` sections, and passages among them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SECTION = re.compile(r"<(?P<tag>[a-zA-Z][\w-]*)(?P<attributes>(?:\s[^<>]*)?)>(?P<text>.*?)</(?P=tag)\s*>", re.DOTALL)
_PASSAGE = re.compile(r"<passage(?P<attributes>(?:\s[^<>]*)?)>(?P<text>.*?)</passage\s*>", re.DOTALL)
_ATTRIBUTE = re.compile(r"([\w-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_DEEPEST = 8


@dataclass(frozen=True)
class Passage:
    """A numbered text that an answer may cite as [id]."""

    id: str
    title: str
    text: str


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
            for match in _PASSAGE.finditer(found):
                attributes = _attributes(match["attributes"])
                number = attributes.get("id") or str(len(passages) + 1)
                passages.append(Passage(number, attributes.get("title", ""), html.unescape(match["text"]).strip()))
        return passages


def read(messages: Sequence[dict[str, Any]]) -> Prompt:
    """Read the messages of a request. Sections of user turns count; without any user turn, those of every turn."""
    turns = [text_of(message) for message in messages if message.get("role") == "user"]
    turns = turns or [text_of(message) for message in messages]
    sections: dict[str, list[str]] = {}
    for turn in turns:
        for match in _SECTION.finditer(turn):
            sections.setdefault(match["tag"].lower(), []).append(match["text"])
    last = turns[-1] if turns else ""
    marked = [match["text"] for match in _SECTION.finditer(last)]
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
        marked, count = _SECTION.subn(r"\n\g<text>\n", marked)
        if not count:
            break
    return html.unescape(marked).strip()


def _attributes(text: str) -> dict[str, str]:
    return {name.lower(): html.unescape(double or single) for name, double, single in _ATTRIBUTE.findall(text)}
