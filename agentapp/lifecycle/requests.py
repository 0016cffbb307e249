"""What the moves for lists are asked. Each class has its type in `sql/00_types.sql`: a test compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Taker:
    """Who takes jobs: a worker with its worker classes, the models that its job types call, and those of its job types
    whose model people may choose."""

    worker: str
    queues: Sequence[str]
    lease_s: float
    # The advisory lock of its process.
    process: int | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    asking: Sequence[str] = ()


@dataclass(frozen=True)
class ClaimRequest:
    """A job that is to be claimed, under a token of the claimer's own."""

    job: str
    token: str


@dataclass(frozen=True)
class SettleRequest:
    """How an attempt ended; see the type in SQL."""

    workflow: str
    job: str
    token: str
    state: str
    outcome: str
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    retry_in_s: float | None = None
    reason: str | None = None
    tokens: int = 0
    cost_usd: str = "0"
    effects: Sequence[dict[str, Any]] = ()
    is_counted: bool = True
    next_token: str | None = None
    watched: bool = True
    unpriced_calls: int = 0
    asks: bool | None = None


@dataclass(frozen=True)
class EffectRequest:
    """An effect that is to be sent; see the type in SQL."""

    workflow: str
    job: str
    token: str
    tenant: int
    key: str
    type: str
    request_sha256: str
    asked_sends: int | None = None
    is_idempotent: bool = False
    late_s: float | None = None
