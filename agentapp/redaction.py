"""Secrets that this process knows are taken out of whatever it writes down or shows.

`agentapp.secret_refs` and the settings tell what is secret. Logs, errors, outputs, checkpoints, artifacts, results of
tools, answers of providers, previews and history all go through `redacted`.
"""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]
MARK = "[secret]"
# A word or a number of ordinary length stands in many texts that have nothing to do with it.
SHORTEST, SHORTEST_WORD = 8, 16
LEAST_DIFFERENT = 4
# Files of secrets are replaced by newer ones; a process that runs for months forgets the oldest.
MOST_KNOWN = 1_000

_lock = threading.Lock()
_values: dict[str, None] = {}
# All spellings, the longest first: one secret may be the beginning of another.
_spellings: tuple[str, ...] = ()


def weakness(value: str) -> str:
    """Say in words why a value cannot be told from ordinary text, so that it is not looked for; empty where it can."""
    if len(value) < SHORTEST:
        return f"it has fewer than {SHORTEST} characters"
    if len(set(value)) < LEAST_DIFFERENT:
        return f"it has fewer than {LEAST_DIFFERENT} different characters"
    if len(value) < SHORTEST_WORD and (value.isalpha() or value.isdigit()):
        return f"it is a word or a number of fewer than {SHORTEST_WORD} characters"
    return ""


def learn(*values: str) -> None:
    """Take these values out of what is written from now on. Those that are too weak to be found are left alone."""
    global _spellings
    strong = {value.strip(): None for value in values if not weakness(value.strip())}
    if strong.keys() <= _values.keys():
        return
    with _lock:
        _values.update(strong)
        while len(_values) > MOST_KNOWN:
            del _values[next(iter(_values))]
        found = {spelling for value in _values for spelling in _spelled(value)}
        _spellings = tuple(sorted(found, key=len, reverse=True))


def _spelled(value: str) -> set[str]:
    """How a value stands in JSON, URLs, HTML, the text of a Python object, and a header of basic authentication."""
    packed = base64.b64encode(value.encode()).decode().rstrip("=")
    quoted = {quote(value), quote(value, safe="")}
    found = {value, json.dumps(value)[1:-1], repr(value)[1:-1], html.escape(value), packed, *quoted}
    # What a body writes as JSON, or as the text of a list, stands in a line of the log that is JSON too.
    return found | {json.dumps(spelling)[1:-1] for spelling in found}


def finds(text: str) -> bool:
    """Tell whether a known secret stands in a text."""
    return any(spelling in text for spelling in _spellings)


def redacted(text: str) -> str:
    """Return a text with a mark in the place of each secret that this process knows."""
    # `in` first: it is several times as fast as a replacement that finds nothing.
    for spelling in _spellings:
        if spelling in text:
            text = text.replace(spelling, MARK)
    return text


def redacted_json(value: Json) -> Json:
    """Return an object with the secrets taken out of its texts, and of the names of its fields."""
    return {redacted(name): _redacted(item) for name, item in value.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {redacted(str(name)): _redacted(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


class Stream:
    """A text that is shown piece by piece. The end that may become a secret is held back until more is known."""

    def __init__(self) -> None:
        self._held = ""

    def take(self, piece: str) -> str:
        """Return what may be shown now that this piece has come."""
        text = redacted(self._held + piece)
        held = max((_begun(text, spelling) for spelling in _spellings), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """Return what is left when nothing more comes."""
        held, self._held = self._held, ""
        return held


def _begun(text: str, spelling: str) -> int:
    """How many characters at the end of a text are the beginning of a spelling."""
    most = min(len(text), len(spelling) - 1)
    return next((length for length in range(most, 0, -1) if text.endswith(spelling[:length])), 0)
