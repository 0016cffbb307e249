"""When two facts are the same, and how they are kept. Pure."""

from __future__ import annotations

import hashlib
import unicodedata

LONGEST_TEXT = 500
LONGEST_ABOUT = 320
# Facts of one customer that hold at once; versions that do not hold any more are not counted.
MOST_OF_ONE = 200
# Cosine distance below which two facts of one embedding model say the same.
SAME_WITHIN = 0.05


def about(given: str) -> str:
    """Return whom a fact is about as it is kept: mail addresses differ in case and are the same.

    No two characters become one that are not the two cases of a letter: the sign of the kelvin is no `k`.
    """
    return "".join(_lower(character) for character in " ".join(given.split()))


def text(given: str) -> str:
    """Return a fact as it is kept: on one line."""
    return " ".join(given.split())


def digest(fact: str) -> str:
    """Return what two facts share that say the same in the same words: case, spaces and a full stop do not count."""
    plain = unicodedata.normalize("NFKC", text(fact)).casefold().rstrip(". ")
    return hashlib.sha256(plain.encode()).hexdigest()


def _lower(character: str) -> str:
    lower = character.lower()
    return lower if lower.upper() == character else character
