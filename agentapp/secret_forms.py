"""The forms in which a secret stands in JSON, URLs, HTML, the text of Python objects, base64 and hexadecimals. Pure.

A form is a pattern with alternatives for each special character, because services differ in which ones they escape. It
is looked for where its longest run of letters and digits stands in the text: that is much faster than the pattern.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from html.entities import codepoint2name
from itertools import groupby

_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
# What JSON in JSON, or an address in an address, makes of one character.
_AGAIN = "(?:25){0,2}"
_SLASH = rf"(?:\\|%{_AGAIN}5[cC])"
_SLASHES = _SLASH + "{1,8}"
# The characters of an escape of which the end is still to come.
_BEGUN = r"(?:\\+(?:u[0-9a-fA-F]{0,3}|x[0-9a-fA-F]?)?|%[0-9a-fA-F%]{0,20}|(?:&|\\+u0026)[#0-9A-Za-z;]{0,12})?\Z"
# By so many characters a secret is told from a text that begins like it.
_TELLING = 12
_LONGEST_ESCAPE = 12
_SHORTEST_RUN = 3


class Form:
    """One form of a secret, by its characters: a pattern of each. `run` stands in whatever the form stands in."""

    def __init__(self, tokens: Sequence[str], run: str) -> None:
        self._tokens = tokens
        self._run = run if len(run) >= _SHORTEST_RUN else ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("".join(self._tokens))

    @property
    def _longest(self) -> int:
        return len(self._tokens) * _LONGEST_ESCAPE

    @cached_property
    def _beginning(self) -> re.Pattern[str]:
        pattern = rf"[\s\S]{{0,{self._longest}}}\Z"
        for token in reversed(self._tokens[:_TELLING]):
            pattern = f"(?:{_BEGUN}|{token}{pattern})"
        return re.compile(pattern)

    def begins_at(self, text: str) -> int:
        """Return where the end of a text begins that may become this form; the length of the text if there is none."""
        found = self._beginning.search(text, max(0, len(text) - self._longest))
        return found.start() if found else len(text)

    def is_in(self, text: str) -> bool:
        return self._run in text and self._pattern.search(text) is not None

    def replaced(self, text: str, mark: str) -> str:
        return self._pattern.sub(mark, text) if self._run in text else text


@lru_cache(maxsize=1_000)
def forms(value: str) -> tuple[Form, ...]:
    """Return all forms in which a secret is looked for."""
    data = value.encode("utf-8", "surrogatepass")
    found = [Form(_tokens(value), _longest_run(value))]
    found += [Form(list(text), text) for text in (data.hex(), data.hex().upper())]
    # Behind `user:`, or anything else, its base64 is one of three.
    return (*found, *(_base64(data, before) for before in range(3)))


def _base64(data: bytes, before: int) -> Form:
    bits = (before + len(data)) * 8
    # The first and the last character may also hold bits of what stands around it.
    sure = base64.b64encode(bytes(before) + data).decode()[-(-before * 8 // 6) : bits // 6]
    rest = ["[A-Za-z0-9+/_-]?={0,2}"] if bits % 6 else []
    safe = {"+": "-", "/": "_"}
    tokens = [f"(?:{safe[one]}|{_token(one)})" if one in safe else one for one in sure]
    return Form(tokens + rest, _longest_run(sure))


def _longest_run(text: str) -> str:
    return max(re.findall("[A-Za-z0-9]+", text), key=len, default="")


def _tokens(value: str) -> list[str]:
    """Return a pattern of each character; of backslashes that follow each other, one."""
    found: list[str] = []
    for character, same in groupby(value):
        count = len(list(same))
        found += (
            [rf"(?:{_SLASH}|{_escaped(character)}){{{count},{8 * count}}}"]
            if character == "\\"
            else [_token(character)] * count
        )
    return found


def _token(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    blank = r"|\+" if character == " " else ""
    return rf"(?:{_SLASH}{{0,7}}(?:{re.escape(character)}|{_in_address(character)}{blank})|{_escaped(character)})"


def _escaped(character: str) -> str:
    code = ord(character)
    units = character.encode("utf-16-be", "surrogatepass").hex()
    json = "".join(f"{_SLASHES}u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))
    names = [codepoint2name[code]] if code in codepoint2name else ["apos"] if character == "'" else []
    entity = rf"(?:&|{_SLASHES}u0026)(?:amp;)*(?:{'|'.join([*names, f'#0*{code}', f'#[xX]0*(?i:{code:x})'])});"
    python = [rf"{_SLASHES}x(?i:{code:02x})"] if code < 256 else []
    letter = [_SLASHES + _LETTERS[character]] if character in _LETTERS else []
    return "|".join([json, entity, *python, *letter])


def _in_address(character: str) -> str:
    return "".join(f"%{_AGAIN}(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
