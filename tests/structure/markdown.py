"""Markdown pages as the tests of the documentation see them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.structure.source import ROOT

# Blocks within lists are indented.
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page under its path in the checkout."""

    path: str
    text: str

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCED.sub("", self.text)

    @cached_property
    def inline_code(self) -> list[str]:
        return _INLINE.findall(self.prose)

    @cached_property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """What a link behind # may name, as code hosts make it of a heading."""
        return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in _HEADING.findall(self.prose)}

    def blocks(self, language: str) -> list[str]:
        """Return the fenced blocks in a language."""
        return [textwrap.dedent(body) for _, name, body in _FENCED.findall(self.text) if name == language]

    def rows(self, heading: str) -> list[list[str]]:
        """Return the cells of the first table below a heading, without its head."""
        section = self.text.split(f"\n## {heading}\n", 1)[1].split("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def pages() -> list[Page]:
    """Read README, CONTRIBUTING, CHANGELOG and everything below docs/."""
    paths = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    return [page(path) for path in paths]


def page(path: Path) -> Page:
    return Page(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
