"""Secrets that this process knows are taken out of whatever it writes down or shows.

`agentapp.secret_refs` and the settings tell what is secret. Logs, errors, outputs, checkpoints, artifacts, results of
tools, answers of providers, previews and history all go through `redacted`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from agentapp import secret_forms
from agentapp.secret_forms import Form

Json = dict[str, Any]
MARK = "[secret]"
# A word or a number of ordinary length stands in many texts that have nothing to do with it.
SHORTEST, SHORTEST_WORD = 8, 16
LEAST_DIFFERENT = 4
# Files of secrets are replaced by newer ones; a process that runs for months forgets the oldest.
MOST_KNOWN = 1_000

_lock = threading.Lock()
_values: dict[str, None] = {}
# All forms, those of the longest secret first: one secret may be the beginning of another.
_forms: tuple[Form, ...] = ()


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
    global _forms
    strong = {value.strip(): None for value in values if not weakness(value.strip())}
    if strong.keys() <= _values.keys():
        return
    with _lock:
        _values.update(strong)
        while len(_values) > MOST_KNOWN:
            del _values[next(iter(_values))]
        longest_first = sorted(_values, key=len, reverse=True)
        _forms = tuple(form for value in longest_first for form in secret_forms.forms(value))


def finds(text: str) -> bool:
    """Tell whether a known secret stands in a text."""
    return any(form.is_in(text) for form in _forms)


def redacted(text: str) -> str:
    """Return a text with a mark in the place of each secret that this process knows."""
    if len(text) < SHORTEST:
        return text
    for form in _forms:
        text = form.replaced(text, MARK)
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
        shown = min((form.begins_at(text) for form in _forms), default=len(text))
        self._held = text[shown:]
        return text[:shown]

    def end(self) -> str:
        """Return what is left when nothing more comes."""
        held, self._held = self._held, ""
        return held
