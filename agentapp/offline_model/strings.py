"""Write a string of a schema: taken from the text where the text has one that fits."""

from __future__ import annotations

import re
from typing import Any

from agentapp.offline_model import questions, sentences

_FORMATS = {
    "date-time": (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)", "2024-01-01T00:00:00Z"),
    "date": (r"\d{4}-\d\d-\d\d", "2024-01-01"),
    "time": (r"\d\d:\d\d:\d\dZ", "00:00:00Z"),
    "email": (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "nobody@example.com"),
    "uri": (r"https?://[^\s<>\"]+", "https://example.com/"),
    "uuid": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "00000000-0000-4000-8000-000000000000"),
    "ipv4": (r"\d{1,3}(?:\.\d{1,3}){3}", "127.0.0.1"),
}
_LANGUAGES = {
    "en": "the and is are you to of how what can not do my for with it this have",
    "de": "der die das und ist nicht ich wie kann mein eine mit für sie auf wir haben was",
    "fr": "le la les et est je ne pas vous comment mon une avec pour sur nous des que",
    "es": "el la los y es no como mi una con para por que puedo usted se del cómo",
    "it": "il lo gli e non come mio una con per che posso sono di della è",
    "nl": "de het een en is niet ik hoe kan mijn met voor van wat zijn",
    "pt": "o os e não como meu uma com para que posso você do da é",
}
_LANGUAGE_NAMES = frozenset({"language", "lang", "locale", "language_code"})
_REASON_NAMES = frozenset({"reason", "why", "rationale", "explanation", "reasoning", "justification"})
_QUERY_NAMES = frozenset({"query", "question", "q", "search", "search_query"})


def write(schema: dict[str, Any], text: str, *, name: str, index: int) -> str:
    """Return a string about the text, as long as the schema allows; `index` tells the items of an array apart."""
    least = int(schema.get("minLength", 0))
    most = int(schema.get("maxLength", 600))
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        return _matching(pattern, text, least=least, most=most)
    known = _FORMATS.get(str(schema.get("format", name)))
    if known is not None:
        found = re.search(known[0], text)
        return found[0] if found else known[1]
    said = _say(text, name=name.lower(), index=index)
    clipped = said if len(said) <= most else said[: max(0, most - 1)].rstrip() + "…" if most else ""
    return clipped.ljust(least, ".")


def language(text: str) -> str:
    """Guess the language of a text by its commonest words; English when nothing speaks for another."""
    spoken = sentences.words(text)
    counts = {code: sum(word in common.split() for word in spoken) for code, common in _LANGUAGES.items()}
    return max(counts, key=lambda code: counts[code])


def _say(text: str, *, name: str, index: int) -> str:
    """Choose what to say under a name."""
    if name in _LANGUAGE_NAMES:
        return language(text)
    asked = questions.parts(text)[0]
    if name in _REASON_NAMES:
        return f"The text says “{asked}” (offline model)."
    if name in _QUERY_NAMES:
        return asked
    told = sentences.split(text) or ["Nothing is said about this."]
    about = name.replace("_", " ")
    ranked = sorted(dict.fromkeys(told), key=lambda sentence: -sentences.closeness(about, sentence))
    return ranked[index] if index < len(ranked) else f"{ranked[index % len(ranked)]} ({index + 1})"


def _matching(pattern: str, text: str, *, least: int, most: int) -> str:
    """Look in the text, then among plain strings, for one that a pattern allows; the empty string when none does."""
    tries = [match[0] for match in re.finditer(pattern, text)] + text.split()
    for letter in ("a", "A", "0", "1", "a-", "A-0"):
        tries += [(letter * count)[:count] for count in (max(least, 1), *range(2, 13))]
    for candidate in [*tries, "A-1", "a1", "en", "+10000000", "2024-01-01", "00:00"]:
        if least <= len(candidate) <= most and re.search(pattern, candidate):
            return candidate
    return ""
