"""Ask who runs a command."""

from __future__ import annotations


def answer(question: str) -> str:
    """Return what was typed; an empty text where nobody can type, as in a script or a job of a cluster."""
    try:
        return input(question).strip()
    except EOFError:
        print()
        return ""
