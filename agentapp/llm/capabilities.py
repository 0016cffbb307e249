"""How a model wants to be asked, and what a refusal teaches about it. Pure: values in, values out.

Providers that call themselves compatible refuse parts of a request that others want, often without naming them. A
`Form` is one way to ask: which format a structured answer is asked for in, what limits its length is called, what is
left out. After a refusal, `following` says which form to try next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from agentapp.policies.provider_errors import Refusal

# Of each feature the ways to ask for it, the plainest last.
STEPS: dict[str, tuple[str | bool, ...]] = {
    "format": ("json_schema", "json_object", "text"),
    "usage": (True, False),
    "limit": ("max_tokens", "max_completion_tokens", ""),
    "temperature": (True, False),
    "system": (True, False),
    "one_call": (True, False),
    "parallel": (True, False),
    "extra": (True, False),
    "thought": (False, True),
}
# Tried only where a refusal names it: to most servers it is a field that nobody knows.
_NOT_PROBED = frozenset({"thought"})
# One way after the other, each alone, and at last the plainest.
MOST_PROBES = 10
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
    "one_call": re.compile(r"parallel_tool_calls", re.IGNORECASE),
    "parallel": re.compile(
        r"(single|one|multiple|several|parallel)[ _-](tool|function)[ _-]?calls?|parallel[_ ]tool", re.IGNORECASE
    ),
    "extra": re.compile(r"extra_content", re.IGNORECASE),
    "thought": re.compile(r"reasoning_content", re.IGNORECASE),
}
# What says that a model takes no tools at all, or its server is not set up for them.
_TOOLS = re.compile(r"\btools?\b|tool[_ -]?(choice|calls?|use)|function[_ -]?call", re.IGNORECASE)
_SOME_PARAMETER = re.compile(r"parameter|support|argument|field|extra", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """One way to ask a model.

    `format` is how a structured answer is asked for; with the last two the schema stands in the prompt. `limit` is
    what the limit of tokens is called, or empty: not sent. `usage` asks a stream for its usage. Without `system` what a
    system message says stands in front of the user's. Without `one_call` the model is not told how many tools it may
    call at once. Without `parallel` a message of the past has one tool call.
    Without `extra` a call goes back without what its provider has put beside it. With `thought` an assistant's message
    says what the model thought.
    """

    format: str = "json_schema"
    limit: str = "max_tokens"
    usage: bool = True
    temperature: bool = True
    system: bool = True
    one_call: bool = True
    parallel: bool = True
    extra: bool = True
    thought: bool = False

    def plainer(self, feature: str) -> Form | None:
        """Return the same with one step less of a feature, or None when there is none left."""
        steps: tuple[Any, ...] = STEPS[feature]
        following = steps.index(getattr(self, feature)) + 1
        return replace(self, **{feature: steps[following]}) if following < len(steps) else None

    def merged(self, other: Form) -> Form:
        """Return what both have learned: of each feature the plainer one."""
        plainest: dict[str, Any] = {
            name: max(getattr(self, name), getattr(other, name), key=steps.index) for name, steps in STEPS.items()
        }
        return Form(**plainest)

    @classmethod
    def of(cls, kept: Mapping[str, object]) -> Self:
        """Read a form that was kept; what another release knows of it and this one does not is left out."""
        known: dict[str, Any] = {
            name: next((step for step in steps if step == kept.get(name)), steps[0]) for name, steps in STEPS.items()
        }
        return cls(**known)


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


def refuses_tools(features: frozenset[str], refusal: Refusal) -> bool:
    """Tell whether a refusal is about the tools of a request: no other form of it helps."""
    said = " ".join((refusal.words, *sorted(refusal.codes)))
    named = any(_NAMES[name].search(said) for name in ("one_call", "parallel", "extra", "thought") if name in features)
    return "tools" in features and bool(_TOOLS.search(said)) and not (named or refusal.is_malformed_call)


def _ladder(first: Form, features: frozenset[str]) -> list[Form | None]:
    """Each feature alone one step and two steps plainer, and at last all of them as plain as can be."""
    forms: list[Form | None] = []
    plainest: Form = first
    for name in (name for name in _NAMES if name not in _NOT_PROBED):
        form: Form | None = first if name in features else None
        while form is not None and (form := form.plainer(name)) is not None:
            forms.append(form)
        while name in features and (less := plainest.plainer(name)) is not None:
            plainest = less
    return [*forms, plainest]
