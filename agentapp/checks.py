"""System checks: what would only fail at run time is said at start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks

from agentapp import flows, registry


def register_all() -> None:
    checks.register(check_flows, "agentapp")


def check_flows(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Every stage of every workflow kind has a job type whose parameters are bound to what comes before it."""
    problems = [problem for flow in registry.flows.values() for problem in flows.check(flow)]
    return [checks.Error(problem, id="agentapp.E001") for problem in problems]
