"""A number and its noun, for messages that people read: "1 attempt", "2 attempts", "1,000 replies"."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Write a number with its noun, which is given in the singular."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
