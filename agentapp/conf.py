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


def statement_timeout_s() -> float:
    """How long one statement of this process may take, in seconds; 0 = no limit."""
    return cast("float", _get("STATEMENT_TIMEOUT_S", 0.0))


def heartbeat_s() -> float:
    """How often a worker process renews its leases, in seconds."""
    return cast("float", _get("HEARTBEAT_S", 1.0))


def drain_s() -> float:
    """How long bodies may go on after SIGTERM before their jobs are handed back, in seconds."""
    return cast("float", _get("DRAIN_S", 5.0))


def child_memory_mb() -> int:
    """The address space of a pool child, in megabytes; 0 = no limit."""
    return cast("int", _get("CHILD_MEMORY_MB", 2048))


def failpoints() -> str:
    """The folder of armed failpoints; empty = off."""
    return cast("str", _get("FAILPOINTS", ""))


def duties_off() -> list[str]:
    """Duties that the dispatcher leaves undone, for tests of the tests."""
    return cast("list[str]", _get("DUTIES_OFF", []))


def in_place_budget_s() -> float:
    """How long one message may go on with the next jobs of its workflow before it gives the slot back, in seconds."""
    return cast("float", _get("IN_PLACE_BUDGET_S", 1.0))


def dispatch_tick_s() -> float:
    """The longest sleep of the dispatcher, in seconds."""
    return cast("float", _get("DISPATCH_TICK_S", 0.5))


def keep_completed_days() -> int:
    """How long a completed task is kept, in days; 0 is for ever."""
    return cast("int", _get("KEEP_COMPLETED_DAYS", 90))


def keep_cancelled_days() -> int:
    """How long a cancelled task is kept, in days; 0 is for ever."""
    return cast("int", _get("KEEP_CANCELLED_DAYS", 90))


def keep_failed_days() -> int:
    """How long a failed task is kept, in days; 0 is for ever."""
    return cast("int", _get("KEEP_FAILED_DAYS", 365))


def max_input_bytes() -> int:
    """The largest input of a task as JSON, in bytes."""
    return cast("int", _get("MAX_INPUT_BYTES", 65_536))


def max_payload_bytes() -> int:
    """The largest payload of a job, in bytes."""
    return cast("int", _get("MAX_PAYLOAD_BYTES", 1_048_576))


def max_output_bytes() -> int:
    """The largest output or checkpoint of a job as JSON, in bytes."""
    return cast("int", _get("MAX_OUTPUT_BYTES", 1_048_576))


def fan_out_max_parts() -> int:
    """The most parts of one fan-out."""
    return cast("int", _get("FAN_OUT_MAX_PARTS", 10_000))


def model_name() -> str:
    """The model that is asked when nothing else is said."""
    return cast("str", _get("MODEL", "offline"))


def embedding_model() -> str:
    """The model that turns texts into vectors; empty without one."""
    return cast("str", _get("EMBEDDING_MODEL", ""))


def ageing_s() -> float:
    """After so long a wait for each class between it and urgent, a job is overdue, in seconds."""
    return cast("float", _get("AGEING_S", 30.0))


def soft_mark() -> int:
    """When so many tasks wait to begin, new ones are accepted and told that they will be late."""
    return cast("int", _get("SOFT_MARK_TASKS", 1_000))


def hard_mark() -> int:
    """When so many tasks wait to begin, new ones are refused."""
    return cast("int", _get("HARD_MARK_TASKS", 100_000))


def tenant_mark() -> int:
    """When so many tasks of one tenant wait to begin, its new ones are refused; a gate may say otherwise."""
    return cast("int", _get("TENANT_MARK_TASKS", 50_000))


def model_timeout_s() -> float:
    """The longest wait for one model call, in seconds."""
    return cast("float", _get("MODEL_TIMEOUT_S", 60))
