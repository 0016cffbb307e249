"""When two facts are the same, and how they are kept. Pure."""

from __future__ import annotations

import hashlib
import itertools
import unicodedata

LONGEST_TEXT = 500
LONGEST_ABOUT = 320
# Facts of one customer that hold at once; versions that do not hold any more are not counted.
MOST_OF_ONE = 200
# Cosine distance below which two facts of one embedding model say the same.
SAME_WITHIN = 0.05


def about(given: str) -> str:
    """Return whom a fact is about as it is kept: mail addresses differ in case and are the same, and so do letters that
    are written with their accents apart.

    No two characters become one that are not the two cases of a letter: the sign of the kelvin is no `k`.
    """
    return "".join(_lower(character) for character in _composed(" ".join(given.split())))


def text(given: str) -> str:
    """Return a fact as it is kept: on one line."""
    return " ".join(given.split())


def digest(fact: str) -> str:
    """Return what two facts share that say the same in the same words: case, spaces and a full stop do not count."""
    # Not NFKC, by which 10² is 102.
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text(fact)).casefold()).rstrip(". ")
    return hashlib.sha256(plain.encode()).hexdigest()


def _composed(given: str) -> str:
    """Write letters and their accents as one. A character that is another one by itself, such as the sign of the
    kelvin, stays what it is."""
    parts = itertools.groupby(given, key=lambda character: unicodedata.normalize("NFC", character) == character)
    return "".join(unicodedata.normalize("NFC", "".join(part)) if plain else "".join(part) for plain, part in parts)


def _lower(character: str) -> str:
    lower = character.lower()
    return lower if lower.upper() == character else character
