"""What Postgres can keep of a text or a value that anybody may have made: not the secrets of this process either."""

from __future__ import annotations

import json
import math
import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from agentapp.redaction import redacted

# NUL, and halves of surrogate pairs, are characters for Python and not for Postgres.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_MESSAGE = 2_000
LONGEST_REASON = 300
LONGEST_PATH = 100
# Far more than a value needs, far less than what exhausts the stack of a recursive reader.
DEEPEST = 50
# Python refuses to write longer numbers in decimals.
LARGEST = 10**400
_CUT = " [...]"


def is_storable(text: str) -> bool:
    return _UNSTORABLE.search(text) is None


def text(value: str, *, most: int | None = None) -> str:
    """Return a text with what cannot be kept replaced, and with secrets, cut to `most` characters."""
    value = redacted(value)
    if most is not None and len(value) > most:
        value = value[: most - len(_CUT)] + _CUT
    return _UNSTORABLE.sub(REPLACEMENT, value)


def message(error: BaseException, *, note: str = "") -> str:
    """Return the words of an error, or its class where it has none, and a note of ours behind them. An error whose
    `__str__` is broken has words too."""
    words = str(traceback.TracebackException(type(error), error, None)) or type(error).__name__
    return text(words, most=LONGEST_MESSAGE - len(note)) + note


def value(given: Any, *, depth: int = 0) -> Any:
    """Return a value as JSON that Postgres can keep; what JSON does not know becomes text."""
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, int):
        return given if abs(given) < LARGEST else f"{given:#x}"
    if isinstance(given, float):
        return given if math.isfinite(given) else str(given)
    if isinstance(given, Enum):
        return value(given.value, depth=depth)
    if depth > DEEPEST:
        return REPLACEMENT
    if isinstance(given, Mapping):
        return {text(str(key)): value(item, depth=depth + 1) for key, item in given.items()}
    if isinstance(given, list | tuple | set | frozenset):
        return [value(item, depth=depth + 1) for item in given]
    if isinstance(given, date | time):
        return given.isoformat()
    if isinstance(given, bytes):
        return text(given.decode(errors="replace"))
    return text(given if isinstance(given, str) else _words(given))


def json_bytes(given: Any) -> int:
    """Return how many bytes a value's JSON has in UTF-8, without blanks: no more than the client has sent for it."""
    return len(json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def may_hold_unstorable(json_text: str) -> bool:
    """Tell from a value's JSON, as json.dumps writes it, whether it may hold what Postgres cannot keep."""
    return "\\u0000" in json_text or "\\ud" in json_text


def is_plain(json_text: str) -> bool:
    """Tell from a value's JSON, as json.dumps writes it, that `problems` would find nothing. False: look for them."""
    if may_hold_unstorable(json_text) or "NaN" in json_text or "Infinity" in json_text:
        return False
    return json_text.count("[") + json_text.count("{") <= DEEPEST


def problems(given: Any, path: str = "", *, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Find what JSON allows and we cannot keep, as (path, sentence): NUL, half a surrogate pair, deep nesting."""
    if len(path) > LONGEST_PATH:
        # Each item's path begins with those above it: a long name times many items would be a copy of a gigabyte.
        path = text(path, most=LONGEST_PATH)
    if isinstance(given, str):
        if "\x00" in given:
            yield path, "Take out the character NUL (\\u0000)."
        elif not is_storable(given):
            yield path, "Half of a surrogate pair (\\ud800 to \\udfff) is not a character. Take it out."
    elif isinstance(given, float) and not math.isfinite(given):
        yield path, "NaN and Infinity are no numbers of JSON. Leave them out."
    elif depth > DEEPEST:
        yield path, f"This is nested more than {DEEPEST} levels deep. Flatten it."
    elif isinstance(given, dict):
        for key, item in given.items():
            yield from problems(key, path or "body")
            name = key[:LONGEST_PATH] if isinstance(key, str) else str(key)
            yield from problems(item, f"{path}.{name}" if path else name, depth=depth + 1)
    elif isinstance(given, list | tuple):
        for index, item in enumerate(given):
            yield from problems(item, f"{path}.{index}", depth=depth + 1)


def _words(given: object) -> str:
    return str(given) if isinstance(given, UUID | Decimal) else f"<{type(given).__name__}>"
