"""agentapp's own settings, typed. config/env.py declares them with their defaults and units."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from django.conf import settings


def _get(name: str, default: Any) -> Any:
    return getattr(settings, f"AGENTAPP_{name}", default)


def home() -> Path:
    """The folder of everything that this installation writes."""
    return Path(_get("HOME", ".local"))


def lease_s() -> float:
    """How long a claim holds without a heartbeat, in seconds."""
    return cast("float", _get("LEASE_S", 15))


def heartbeat_s() -> float:
    """How often a worker process renews its leases, in seconds."""
    return cast("float", _get("HEARTBEAT_S", 4))


def in_place_budget_s() -> float:
    """How long one message may go on with the next jobs of its workflow before it gives the slot back, in seconds."""
    return cast("float", _get("IN_PLACE_BUDGET_S", 1.0))


def dispatch_tick_s() -> float:
    """The longest sleep of the dispatcher, in seconds."""
    return cast("float", _get("DISPATCH_TICK_S", 0.5))


def max_input_bytes() -> int:
    """The largest input of a task as JSON, in bytes."""
    return cast("int", _get("MAX_INPUT_BYTES", 65_536))


def model_name() -> str:
    """The model that is asked when nothing else is said."""
    return cast("str", _get("MODEL", "offline"))


def model_timeout_s() -> float:
    """The longest wait for one model call, in seconds."""
    return cast("float", _get("MODEL_TIMEOUT_S", 60))
