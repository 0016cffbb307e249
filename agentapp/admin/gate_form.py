"""The form of a gate: its fields in groups, what was typed into them, and what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentapp.admin import cells
from agentapp.models import Gate
from agentapp.services import gates

NAMES = (*gates.SETTABLE, "reason")
# Fields that may stay empty, and what that means.
_EMPTY: dict[str, Any] = {
    "concurrency": None, "requests_per_min": None, "tokens_per_min": None, "max_waiting": None, "reserved": 0,
    "request_burst": 0, "token_burst": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One field as the page shows it. `kind`: choice, number, text, or line and long for whole lines."""

    name: str
    label: str
    help: str
    kind: str = "number"
    value: str = ""
    error: str = ""

    @property
    def options(self) -> list[tuple[str, str]]:
        return list(cells.SCOPES.items())


_GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "For what",
        (
            Field("scope", "Count by", "Each name of this kind that fits is counted apart.", "choice"),
            Field(
                "pattern", "Name", "Of the job type, model or tool, or the slug of the tenant. A * stands for any "
                "characters, as in gpt-5*. The platform as a whole needs none.", "text",
            ),
            Field("tier", "Tier", "Only for tenants of this tier; empty: for those of any.", "text"),
        ),
    ),
    (
        "How many at once",
        (
            Field("concurrency", "Jobs at once", "How many run at the same time. 0 lets none begin; empty: no limit."),
            Field("reserved", "Of these for urgent jobs", "Slots that only urgent jobs may take."),
        ),
    ),
    (
        "How fast",
        (
            Field("requests_per_min", "Begin in a minute", "How many may begin in a minute. Empty: no limit."),
            Field("request_burst", "Begin together", "How many may begin at once. Empty: what 2 seconds allow."),
            Field("tokens_per_min", "Tokens a minute", "Of prompts and answers together. Empty: no limit."),
            Field("token_burst", "Tokens together", "How many may be used at once. Empty: what 10 seconds allow."),
        ),
    ),
    (
        "How many may wait",
        (
            Field(
                "max_waiting", "Waiting tasks", "Tasks that may wait to begin; one more is refused with 429. "
                "Of a tenant or the platform as a whole.",
            ),
        ),
    ),
    (
        "Why",
        (
            Field("note", "Note", "Why it is so. It stays with the gate.", "long"),
            Field("reason", "Reason of this change", "It stands in the list of changes. May stay empty.", "line"),
        ),
    ),
)  # fmt: skip


def typed(post: Mapping[str, str]) -> dict[str, str]:
    """What a person typed, by field."""
    return {name: post.get(name, "").replace("\x00", "").strip() for name in NAMES}


def values(entered: Mapping[str, str]) -> dict[str, Any]:
    """What the service is given: texts, of which it makes numbers, and what an empty field means."""
    return {name: entered[name] or _EMPTY.get(name, "") for name in gates.SETTABLE}


def of_gate(gate: Gate) -> dict[str, str]:
    """What the fields of a gate show. A burst of 0 is that of the pace, and is left empty."""
    return {name: _shown(name, getattr(gate, name)) for name in gates.SETTABLE}


def _shown(name: str, value: Any) -> str:
    if value is None or (value == 0 and name.endswith("_burst")):
        return ""
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def groups(entered: Mapping[str, str], errors: Mapping[str, str]) -> list[tuple[str, list[Field]]]:
    """The form: titles, each with its fields as they stand."""
    return [
        (
            title,
            [replace(field, value=entered.get(field.name, ""), error=errors.get(field.name, "")) for field in fields],
        )
        for title, fields in _GROUPS
    ]
