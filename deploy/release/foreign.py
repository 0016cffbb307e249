"""Names what pages of the site would load from another host: `python deploy/release/foreign.py build/site`.

Links that people follow may lead anywhere; a script, a style, a font or a picture may not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_OTHER = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
_LOADS = {"src", "srcset", "data", "poster"}
# What a <link> says about the page, and loads nothing.
_SAYS = {"canonical", "next", "prev", "search", "author", "license", "index", "help"}
_IN_STYLES = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


class _Loaded(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        loaded = [values[name] for name in _LOADS & values.keys()]
        if tag == "link" and not set(values.get("rel", "").lower().split()) <= _SAYS:
            loaded.append(values.get("href", ""))
        self.found += filter(_OTHER.match, loaded)
        self.found += _IN_STYLES.findall(values.get("style", ""))


def addresses(name: str, text: str) -> list[str]:
    """The addresses of other hosts that a browser would ask for this file."""
    if name.endswith(".css"):
        return _IN_STYLES.findall(text)
    page = _Loaded()
    page.feed(text)
    styles = re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL | re.IGNORECASE)
    return page.found + [address for style in styles for address in _IN_STYLES.findall(style)]


def in_site(folder: Path) -> Iterator[str]:
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".html", ".css", ".svg"}):
        for address in addresses(path.name, path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(folder)} loads {address}"


if __name__ == "__main__":
    site = Path(sys.argv[1])
    if not (site / "docs" / "index.html").exists():
        sys.exit(f"{site} holds no site")
    if found := list(in_site(site)):
        sys.exit("\n".join(found))
