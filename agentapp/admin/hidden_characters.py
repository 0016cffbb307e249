"""Make visible what a browser does not draw: a person approves bytes, not what they look like."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Stretch:
    """Text as it is, or with `name` one character that would not be seen."""

    text: str
    name: str = ""


def reveal(text: str) -> list[Stretch]:
    """Split a text around characters that are invisible, reorder the line, or look like an ordinary space."""
    stretches: list[Stretch] = []
    plain = ""
    for character in text:
        name = _hidden_name(character)
        if not name:
            plain += character
            continue
        if plain:
            stretches.append(Stretch(plain))
        stretches.append(Stretch(character, name))
        plain = ""
    return [*stretches, Stretch(plain)] if plain else stretches


def _hidden_name(character: str) -> str:
    if character in "\n\t" or " " <= character <= "~":
        return ""
    # Cc, Cf: control and format (zero width, direction); Co, Cn: private and unassigned; Zs: other spaces.
    if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"}:
        return unicodedata.name(character, f"U+{ord(character):04X}").lower()
    return ""
