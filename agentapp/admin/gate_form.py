"""The form of a gate: its fields in groups, what was typed into them, and what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentapp.admin import cells, form
from agentapp.admin.form import Field
from agentapp.models import Gate
from agentapp.services import gates

NAMES = (*gates.SETTABLE, "reason")
# Fields that may stay empty, and what that means.
_EMPTY: dict[str, Any] = {
    "concurrency": None, "requests_per_min": None, "tokens_per_min": None, "max_waiting": None, "reserved": 0,
    "request_burst": 0, "token_burst": 0, "tokens_per_day": None, "cost_usd_per_day": None,
}  # fmt: skip


_SCOPES = tuple(cells.SCOPES.items())
_GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "Applies to",
        (
            Field("scope", "Count by", "Each matching name is counted separately.", "choice", _SCOPES),
            Field(
                "pattern", "Name", "The job type, model, tool or tenant slug. * matches any characters, as in gpt-5*. "
                "The whole installation needs none.", "text",
            ),
            Field("tier", "Tier", "Only for tenants of this tier. Empty: all tiers.", "text"),
        ),
    ),
    (
        "Concurrency",
        (
            Field("concurrency", "Jobs at once", "How many may run at the same time. 0: none. Empty: no limit."),
            Field("reserved", "Reserved for urgent jobs", "How many of these only urgent jobs may use."),
        ),
    ),
    (
        "Rate",
        (
            Field("requests_per_min", "Jobs per minute", "How many may start in a minute. Empty: no limit."),
            Field("request_burst", "Burst of jobs", "How many may start at once. Empty: 2 seconds' worth."),
            Field("tokens_per_min", "Tokens per minute", "Prompts and answers together. Empty: no limit."),
            Field("token_burst", "Burst of tokens", "How many may be used at once. Empty: 10 seconds' worth."),
        ),
    ),
    (
        "Waiting",
        (
            Field(
                "max_waiting", "Waiting tasks", "How many tasks may wait to start; more are refused with 429. "
                "Only for a tenant or the whole installation.",
            ),
        ),
    ),
    (
        "Budget of a day",
        (
            Field("tokens_per_day", "Tokens per day", "Prompts and answers of a tenant's models since midnight UTC."),
            Field("cost_usd_per_day", "US dollars per day", "What they may cost. Only models whose price is known."),
        ),
    ),
    (
        "Reason",
        (
            Field("note", "Note", "Why this gate exists. Kept with the gate.", "long"),
            Field("reason", "Reason for this change", "Optional. Shown under Changes.", "line"),
        ),
    ),
)  # fmt: skip


def values(entered: Mapping[str, str]) -> dict[str, Any]:
    """What the service is given: texts, of which it makes numbers, and what an empty field means."""
    return {name: entered[name] or _EMPTY.get(name, "") for name in gates.SETTABLE}


def shown(gate: Gate) -> dict[str, str]:
    """What the fields of a gate show. A burst of 0 is that of the pace, and is left empty."""
    return {name: _shown(name, getattr(gate, name)) for name in gates.SETTABLE}


def _shown(name: str, value: Any) -> str:
    if value is None or (value == 0 and name.endswith("_burst")):
        return ""
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def groups(entered: Mapping[str, str], errors: Mapping[str, str]) -> list[tuple[str, list[Field]]]:
    """The form: titles, each with its fields as they stand."""
    return form.filled(_GROUPS, entered, errors)
