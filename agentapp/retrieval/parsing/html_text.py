"""Read an HTML page as Markdown. Tags are seen one after the other, so nesting costs no stack and no memory."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from agentapp.retrieval.parsing.limits import Limits

# What a person does not see, and what stands on every page of a site.
_NEVER = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "select", "textarea", "math"})
_FRAME = frozenset({"nav", "footer"})
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BREAKS = frozenset(
    {
        *(
            "p",
            "div",
            "section",
            "article",
            "main",
            "header",
            "aside",
            "blockquote",
            "ul",
            "ol",
            "dl",
            "dt",
            "dd",
            "table",
        ),
        *("caption", "figure", "figcaption", "hr", "form", "address", "details", "summary", "fieldset", "body"),
    }
)
_BLANKS = re.compile(r"\s+")


class _Reader(HTMLParser):
    def __init__(self, limits: Limits, *, left_out: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._limits = limits
        self._left_out = left_out
        self._out: list[str] = []
        self._line: list[str] = []
        self._prefix = ""
        self._length = 0
        self._hidden = ("", 0)  # the element that is left out, and how often it stands in itself
        self._in_title = self._in_code = False

    @property
    def is_hidden(self) -> bool:
        return self._hidden[1] > 0

    def text(self) -> str:
        """Return the Markdown of what was fed."""
        self._end_line()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._out)).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.is_hidden or tag in self._left_out:
            name, depth = self._hidden if self.is_hidden else (tag, 0)
            self._hidden = (name, depth + (tag == name))
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "pre":
            self._end_line("", "```")
            self._in_code = True
        elif tag == "br":
            self._end_line()
        elif tag in _HEADINGS or tag in _BREAKS:
            self._end_line("")
            self._prefix = f"{_HEADINGS[tag]} " if tag in _HEADINGS else ""
        elif tag in ("li", "tr"):
            self._end_line()
            self._prefix = "- " if tag == "li" else "| "
        elif tag in ("td", "th") and self._line:
            self._line.append(" | ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # `<nav/>` opens a nav in HTML, and closes it in XHTML: nothing is left out for it.
        if tag not in self._left_out:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.is_hidden:
            name, depth = self._hidden
            self._hidden = (name, depth - (tag == name))
        elif tag == "title":
            self._in_title = False
        elif tag == "pre" and self._in_code:
            self._end_line("```", "")
            self._in_code = False
        elif tag in _HEADINGS or tag in _BREAKS:
            self._end_line("")

    def handle_data(self, data: str) -> None:
        if self.is_hidden:
            return
        self._length += len(data)
        self._limits.check_length(self._length)
        if self._in_title:
            self.title = _BLANKS.sub(" ", self.title + data)
        elif self._in_code:
            self._line.append(data)
        elif data.strip() or self._line:
            self._line.append(_BLANKS.sub(" ", data))

    def _end_line(self, *more: str) -> None:
        line = "".join(self._line)
        shown = line.strip("\n") if self._in_code else line.strip()
        self._out += [*([self._prefix + shown] if shown else []), *more]
        self._line, self._prefix = [], ""


def read(text: str, limits: Limits) -> tuple[str, str]:
    """Return the title of a page and its text as Markdown, without scripts, styles and menus.

    Raises:
        Unreadable: its text is too long.
    """
    reader = _fed(text, limits, left_out=_NEVER | _FRAME)
    found = reader.text()
    if not found or reader.is_hidden:
        # A menu that is never closed would take the rest of the page with it.
        reader = _fed(text, limits, left_out=_NEVER)
        found = reader.text()
    return reader.title.strip(), found


def _fed(text: str, limits: Limits, *, left_out: frozenset[str]) -> _Reader:
    reader = _Reader(limits, left_out=left_out)
    reader.feed(text)
    reader.close()
    return reader
