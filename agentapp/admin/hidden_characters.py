"""Make visible what a browser does not draw: a person approves bytes, not what they look like."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Stretch:
    """Text as it is, or with `name` one character that would not be seen."""

    text: str
    name: str = ""


_JOINER, _NON_JOINER, _AS_EMOJI = "\u200d", "\u200c", "\ufe0f"
# They are drawn as nothing or as a blank, and their category does not say so.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Flags of a part of a country are the only emoji that are spelt with tags; elsewhere tags can hide any text.
_FLAG = re.compile("\U0001f3f4(?:\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074"
                   "|\U000e0077\U000e006c\U000e0073)\U000e007f)")  # fmt: skip


def reveal(text: str) -> list[Stretch]:
    """Split a text around characters that are invisible, reorder the line, or look like an ordinary space.

    What joins two emoji to one, or two letters of a script that is written so, is part of what is seen.
    """
    seen = {at for flag in _FLAG.finditer(text) for at in range(flag.start(), flag.end())}
    stretches: list[Stretch] = []
    start = 0
    for at, character in enumerate(text):
        name = "" if at in seen else _hidden_name(character)
        if not name or _is_seen(text, at):
            continue
        if at > start:
            stretches.append(Stretch(text[start:at]))
        stretches.append(Stretch(character, name))
        start = at + 1
    return [*stretches, Stretch(text[start:])] if start < len(text) else stretches


def _hidden_name(character: str) -> str:
    if character in "\n\t" or " " <= character <= "~":
        return ""
    # Cc, Cf: control and format (zero width, direction); Co, Cn: private and unassigned; Zs: other spaces.
    if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"} or _is_blank(character):
        return unicodedata.name(character, f"U+{ord(character):04X}").lower()
    return ""


def _is_blank(character: str) -> bool:
    # Variation selectors can carry any text as well.
    return character in _BLANK or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _is_seen(text: str, at: int) -> bool:
    """Whether a character that is not drawn by itself changes how its neighbours are."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if text[at] == _AS_EMOJI:
        return _is_emoji(before) or before in set("#*0123456789")
    if text[at] == _JOINER and _is_emoji(after):
        # Behind a colour of skin, or the sign that makes an emoji of a symbol, too.
        return _is_emoji(before) or before == _AS_EMOJI
    return text[at] in (_JOINER, _NON_JOINER) and _is_joined(before) and _is_joined(after)


def _is_emoji(character: str) -> bool:
    return bool(character) and (
        "\U0001f000" <= character <= "\U0001faff" or (character >= "\u00a9" and unicodedata.category(character) == "So")
    )  # fmt: skip


def _is_joined(character: str) -> bool:
    """A letter or a sign of Arabic, Syriac, or a script of India."""
    return "\u0600" <= character <= "\u0dff" and unicodedata.category(character)[0] in "LM"
