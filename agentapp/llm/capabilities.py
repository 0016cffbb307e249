"""How a model wants to be asked, and what a refusal teaches about it. Pure: values in, values out.

Providers that call themselves compatible refuse parts of a request that others want, often without naming them. A
`Form` is one way to ask: which format a structured answer is asked for in, what limits its length is called, what is
left out. After a refusal, `following` says which form to try next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentapp.policies.provider_errors import Refusal

FORMATS = ("json_schema", "json_object", "text")
LIMITS = ("max_tokens", "max_completion_tokens", "")
# One way after the other, each alone, and at last the plainest.
MOST_PROBES = 9
_PROBED_STATUS = frozenset({400, 404, 422, 501})
# A provider that lacks a model or an address says 404, too: there the words must name what is refused.
_NAMED_STATUS = frozenset({404, 501})

_NAMES = {
    "format": re.compile(
        r"response[_ ]?format|json[_ ]?(schema|object|mode)|structured[_ ]output|\bschema\b|\bstrict\b|grammar|guided",
        re.IGNORECASE,
    ),
    "usage": re.compile(r"stream_options|include_usage", re.IGNORECASE),
    "limit": re.compile(r"\bmax_(completion_|output_)?tokens\b", re.IGNORECASE),
    "temperature": re.compile(r"\btemperature\b", re.IGNORECASE),
    "system": re.compile(r"\bsystem['\"`]? (role|message|prompt|instruction)|\brole\b.{0,40}\bsystem\b", re.IGNORECASE),
}
_SOME_PARAMETER = re.compile(r"parameter|support|argument|field|extra", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """One way to ask a model.

    `format` is how a structured answer is asked for; with the last two the schema stands in the prompt. `limit` is
    what the most tokens are called, or empty: not sent. `usage` asks a stream for its usage. Without `system` what a
    system message says stands in front of the user's.
    """

    format: str = FORMATS[0]
    limit: str = LIMITS[0]
    usage: bool = True
    temperature: bool = True
    system: bool = True

    def plainer(self, feature: str) -> Form | None:
        """Return the same with one step less of a feature, or None when there is none left."""
        match feature:
            case "format" if self.format != FORMATS[-1]:
                return replace(self, format=FORMATS[FORMATS.index(self.format) + 1])
            case "limit" if self.limit:
                return replace(self, limit=LIMITS[LIMITS.index(self.limit) + 1])
            case "usage" if self.usage:
                return replace(self, usage=False)
            case "temperature" if self.temperature:
                return replace(self, temperature=False)
            case "system" if self.system:
                return replace(self, system=False)
        return None

    def merged(self, other: Form) -> Form:
        """Return what both have learned: of each feature the plainer one."""
        return Form(
            format=max(self.format, other.format, key=FORMATS.index),
            limit=max(self.limit, other.limit, key=LIMITS.index),
            usage=self.usage and other.usage,
            temperature=self.temperature and other.temperature,
            system=self.system and other.system,
        )


def following(
    tried: Sequence[Form], features: frozenset[str], *, status: int | None, refusal: Refusal, is_proven: bool
) -> Form | None:
    """Return the form to try after the last of `tried` was refused, or None when the refusal stands.

    `features` are those that the request has. `is_proven`: the first form has worked before, so that a refusal that
    names none of its features is about something else.
    """
    if len(tried) > MOST_PROBES or refusal.is_definite or status not in _PROBED_STATUS:
        return None
    last = tried[-1]
    said = " ".join((refusal.words, *sorted(refusal.codes)))
    named = [name for name in _NAMES if name in features and _NAMES[name].search(said)]
    if not named and (status in _NAMED_STATUS and not _SOME_PARAMETER.search(said)):
        return None
    candidates = [last.plainer(name) for name in named]
    if not named or len(tried) > 1:
        if (is_proven and len(tried) == 1) or refusal.is_too_long:
            return None
        candidates += _ladder(tried[0], features)
    return next((form for form in candidates if form is not None and form not in tried), None)


def _ladder(first: Form, features: frozenset[str]) -> list[Form | None]:
    """Each feature alone one step and two steps plainer, and at last all of them as plain as can be."""
    forms: list[Form | None] = []
    plainest: Form = first
    for name in _NAMES:
        form: Form | None = first if name in features else None
        while form is not None and (form := form.plainer(name)) is not None:
            forms.append(form)
        while name in features and (less := plainest.plainer(name)) is not None:
            plainest = less
    return [*forms, plainest]
