"""Choose among the values of an enum by what a text says: meaning first, plain cues beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from agentapp.offline_model import sentences, vectors

# Values that stand on a scale, from nothing (0) to the utmost (4).
_LEVELS = {
    **dict.fromkeys(("none", "no", "lowest"), 0),
    **dict.fromkeys(("low", "minor", "trivial", "small"), 1),
    **dict.fromkeys(("normal", "medium", "moderate", "standard", "average"), 2),
    **dict.fromkeys(("high", "major", "severe", "large"), 3),
    **dict.fromkeys(("urgent", "critical", "immediate", "highest", "extreme"), 4),
}
_URGENT = re.compile(
    r"\b(?:urgent(?:ly)?|asap|immediate(?:ly)?|right (?:now|away)|at once|emergency|outage"
    r"|(?:is|are|site|system|server|everything) (?:is )?down|data loss)\b",
    re.IGNORECASE,
)
_PRESSING = re.compile(
    r"\b(?:soon|quickly|blocked|blocks|stuck|waiting|still (?:no|not|waiting)|today|deadline|cannot (?:log|sign|work)"
    r"|can't (?:log|sign|work)|not working|stopped working|broken|fails)\b",
    re.IGNORECASE,
)
_RELAXED = re.compile(r"\b(?:no (?:hurry|rush)|whenever|curious|just wondering|take your time)\b", re.IGNORECASE)
_GRAVE = re.compile(
    r"\b(?:legal|lawyers?|attorneys?|sue|court|gdpr|breach|leak(?:ed)?|hacked|stolen|fraud|charge ?back|press"
    r"|journalist|regulator|lawsuit|threat)\b",
    re.IGNORECASE,
)
_DELICATE = re.compile(
    r"\b(?:refunds?|delet(?:e|ed|ion)|erase|cancel(?:led|lation)?|money|charged|overcharged|invoices?|contract"
    r"|compensation|complain(?:t|ing)?|personal data|passwords?|security|angry|unacceptable)\b",
    re.IGNORECASE,
)
_ABOUT_RISK = re.compile(r"risk|danger|harm|sensitiv|damage|severity", re.IGNORECASE)
_OTHER = frozenset({"other", "others", "unknown", "misc", "none", "general", "unclear"})
_OTHER_FIT = 0.16
_GOOD = re.compile(r"^(?:pass|passed|accept|accepted|approve|approved|ok|good|yes|send)$", re.IGNORECASE)
_BAD = re.compile(r"^(?:revise|fail|failed|reject|rejected|bad|no|retry|improve)$", re.IGNORECASE)

# What common values mean, in other words: a real model knows this without being told.
_MEANINGS = {
    "billing": "invoice invoices charge charged refund payment paid price subscription receipt card money vat",
    "account": "login log-in sign in password profile address user access registration close my account locked",
    "technical": "error bug crash crashes fails failing exception timeout slow broken server trace not working",
    "how to": "how do i|how can i|how to|how does|how long|where do i|where can i|set up|configure|what is",
    "documents": "documentation manual guide how to explain knowledge base set up",
    "approved replies": "earlier answers sent to customers before refund complaint same question again",
    "memory": "earlier conversation customer history preferences as i said before",
    "positive": "thanks great love happy excellent",
    "negative": "angry disappointed terrible unacceptable bad complaint",
}


@dataclass(frozen=True)
class Option:
    """One value of an enum and what the schema says about it."""

    value: Any
    description: str = ""

    @property
    def name(self) -> str:
        """The value as words."""
        return str(self.value).replace("_", " ").replace("-", " ").strip().lower()

    @property
    def meaning(self) -> str:
        """The value, its description and what is commonly known about it."""
        return " ".join((self.name, self.description, _MEANINGS.get(self.name, "").replace("|", " ")))


def options(schema: dict[str, Any]) -> list[Option] | None:
    """Return the values that a schema allows by enum, const or a list of consts; None when it names none."""
    described = str(schema.get("description", ""))
    if "const" in schema:
        return [Option(schema["const"], described)]
    if isinstance(schema.get("enum"), list):
        values = schema["enum"]
        return [Option(value, _described(value, values, described)) for value in values]
    for word in ("oneOf", "anyOf"):
        choices = schema.get(word)
        if isinstance(choices, list) and choices and all(isinstance(one, dict) and "const" in one for one in choices):
            said = [Option(one["const"], str(one.get("description") or one.get("title") or "")) for one in choices]
            return [option for number, option in enumerate(said) if option not in said[:number]]
    return None


def choose(offered: list[Option], text: str, *, about: str = "") -> Any:
    """Return the value that fits a text best; `about` is the name and description of the field."""
    levels = [_LEVELS.get(option.name) for option in offered]
    if len(offered) > 1 and all(level is not None for level in levels):
        wanted = _level(text, about=about)
        return min(offered, key=lambda option: abs(_LEVELS[option.name] - wanted)).value
    # max() keeps the first of equals: the schema's own order decides.
    return max(offered, key=lambda option: fit(option, text)).value


def choose_many(offered: list[Option], text: str, *, least: int, most: int) -> list[Any]:
    """Return the values that fit, in the schema's order: the first always, as leaving out costs more than asking."""
    by_fit = sorted(offered, key=lambda option: -fit(option, text))
    floor = fit(by_fit[0], text) / 2
    wanted = [option for option in by_fit if fit(option, text) >= floor or option is offered[0]]
    wanted += [option for option in by_fit if option not in wanted]
    count = sum(1 for option in wanted if fit(option, text) >= floor or option is offered[0])
    kept = wanted[: min(most, max(least, count))]
    return [option.value for option in offered if option in kept]


def verdict(offered: list[Option], *, good: bool) -> Any:
    """Return the value that stands for good or bad, or None when the values are about something else."""
    pattern = _GOOD if good else _BAD
    return next((option.value for option in offered if pattern.match(str(option.value))), None)


def fit(option: Option, text: str) -> float:
    """Say how well a value describes a text, 0 to about 1."""
    if option.name in _OTHER:
        return _OTHER_FIT
    known = _MEANINGS.get(option.name, "")
    cues = known.split("|") if "|" in known else known.split()
    spoken = f" {' '.join(sentences.words(text))} "
    named = sum(1 for cue in {*cues, option.name} if f" {cue} " in spoken)
    return 0.55 * max(0.0, vectors.similarity(text.lower(), option.meaning.lower())) + min(0.45, 0.15 * named)


def _level(text: str, *, about: str) -> int:
    """Place a text on the scale: how grave it is when the field is about risk, else how urgent."""
    if _ABOUT_RISK.search(about):
        return 3 if _GRAVE.search(text) else 2 if _DELICATE.search(text) else 1
    if _URGENT.search(text):
        return 4
    if _PRESSING.search(text):
        return 3
    return 1 if _RELAXED.search(text) else 2


def _described(value: Any, values: list[Any], description: str) -> str:
    """Find what a description like `billing: invoices and charges; account: signing in` says about one value."""
    names = "|".join(re.escape(str(other)) for other in sorted(values, key=lambda other: -len(str(other))))
    opens = r"\s*(?:[:=(-]|means|is for)\s*"
    said = re.search(
        rf"(?<!\w){re.escape(str(value))}{opens}(.+?)(?=[;\n)]|[,.]\s*(?:{names}){opens}|$)",
        description,
        re.IGNORECASE | re.DOTALL,
    )
    return said[1].strip() if said else ""
