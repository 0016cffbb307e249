"""What a document is called that nobody gave a title. Pure."""

from __future__ import annotations

from agentapp.retrieval import chunking

LONGEST = 300


def of(text: str, *, own: str = "", source: str) -> str:
    """Return the title that a file gives itself, else its first heading, else its name without the ending."""
    name = source.rstrip("/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name or source
    for title in (own, chunking.first_heading(text), stem):
        if shown := " ".join(title.split())[:LONGEST]:
            return shown
    return source[:LONGEST]
