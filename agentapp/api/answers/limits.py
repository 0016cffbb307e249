"""How much may run, and how much does. For operators."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.values import Breaker, KeyScope, Mode, Moment, Object, Scope


@pydantic.with_config(
    values.like(
        {
            "id": 7, "scope": "model", "pattern": "gpt-5*", "tier": "", "concurrency": 8, "reserved": 1,
            "requests_per_min": 500.0, "request_burst": 0, "tokens_per_min": None, "token_burst": 0,
            "max_waiting": None, "tokens_per_day": None, "cost_usd_per_day": None, "note": "",
            "updated_at": values.MOMENT,
        }
    )
)  # fmt: skip
class Gate(TypedDict):
    """A rule on how much runs at once, starts in a minute, or waits. null is no limit."""

    id: int
    scope: Scope
    pattern: Annotated[str, Field(description="a name, or * for any characters: each key that fits is counted apart")]
    tier: Annotated[str, Field(description="only for tenants of this tier; empty: of any")]
    concurrency: Annotated[int | None, Field(description="jobs that run at once")]
    reserved: Annotated[int, Field(description="of these, slots that only urgent jobs may take")]
    requests_per_min: float | None
    request_burst: int
    tokens_per_min: float | None
    token_burst: int
    max_waiting: Annotated[int | None, Field(description="tasks that may wait to start; more get a 429")]
    tokens_per_day: Annotated[int | None, Field(description="of a budget: tokens that models may use in a day (UTC)")]
    cost_usd_per_day: Annotated[float | None, Field(description="of a budget: US dollars that they may cost in a day")]
    note: str
    updated_at: Moment


class GateChange(TypedDict):
    """Who changed a gate, paused or resumed a key."""

    id: int
    at: Moment
    actor: str
    action: str
    target: Annotated[str, Field(description="the gate, or the key")]
    before: Object | None
    after: Object | None
    reason: str | None


class KeyState(TypedDict):
    """Whether jobs of a key start, and who said so."""

    mode: Mode
    by: str | None
    reason: str | None
    since: Moment | None


class UsedToday(TypedDict):
    """What the models of a tenant have used since midnight (UTC), without calls that are under way."""

    tokens: int
    cost_usd: float


class Limit(TypedDict):
    """The limit and the current use of one key."""

    key: str
    scope: KeyScope
    name: str
    gate: Annotated[int | None, Field(description="the id of the gate that applies")]
    concurrency: int | None
    reserved: int
    requests_per_min: float | None
    request_burst: int | None
    tokens_per_min: float | None
    token_burst: int | None
    max_waiting: int | None
    tokens_per_day: int | None
    cost_usd_per_day: float | None
    used_today: Annotated[UsedToday | None, Field(description="of a budget that was asked today; else null")]
    running: Annotated[int, Field(description="jobs that run, counted when you ask")]
    slowdown: Annotated[float, Field(description="how many times slower than the gate allows")]
    closed_until: Moment | None
    breaker: Breaker
    mode: KeyState
    holds: Annotated[bool, Field(description="whether jobs wait for it")]
    waiting: Annotated[int, Field(description="tasks, of a queue jobs, that have not started")]
    oldest_at: Moment | None
    per_s: Annotated[float, Field(description="started per second")]
    slots: int


class Queue(TypedDict):
    """The backlog of a queue. An autoscaler can use these numbers."""

    queue: str
    waiting: int
    oldest_at: Moment | None
    oldest_age_s: float
    per_s: float
    slots: int
    running: int
    published: Annotated[int, Field(description="jobs that wait, with a message in the broker")]
    mode: KeyState
