"""System checks: what would only fail at run time is said at start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import Tags
from django.db import DEFAULT_DB_ALIAS

from agentapp import flows, registry
from agentapp.dispatch.brokers import choice
from agentapp.lifecycle import at_start
from agentapp.lifecycle.roles import looks
from agentapp.policies import connections, faults
from agentapp.policies.faults import Fault

# What a command looks at before it begins: ours, and that the models are sound. The checks of addresses load all of
# them, with the API, the admin and what describes both: a quarter of a short command's CPU time, and 20 MB of a
# dispatcher. `manage.py check` makes every one.
OF_COMMANDS = ("agentapp", Tags.models)


def register_all() -> None:
    checks.register(check_flows, "agentapp")
    checks.register(check_broker, "agentapp")
    checks.register(check_connections, checks.Tags.database)
    checks.register(check_roles, checks.Tags.database)


def check_flows(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Every stage of every workflow kind has a job type whose parameters are bound to what comes before it."""
    problems = [problem for flow in registry.flows.values() for problem in flows.check(flow)]
    return [checks.Error(problem, id="agentapp.E001") for problem in problems]


def check_broker(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """What speaks to the broker is installed. Which addresses are brokers at all is read with the settings."""
    missing = choice.missing(settings.BROKER_URL)
    return [checks.Error(missing, id="agentapp.E002")] if missing else []


def check_connections(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    """One of each process finds the connections that it may hold. Asked by `check --database default` and `migrate`."""
    problem = ""
    if DEFAULT_DB_ALIAS in (databases or ()):
        # One that does not answer is said by the command itself.
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT):
            problem = "" if at_start.is_pooled() else connections.standard_problem(at_start.room())
    return [checks.Warning(problem, id="agentapp.W001")] if problem else []


def check_roles(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    """The roles of `manage.py database_roles` have what this release needs. Asked by `check --database default`."""
    found: list[tuple[str, str]] = []
    if DEFAULT_DB_ALIAS in (databases or ()):
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT):
            found = looks.problems()
    ids = {"moves": "agentapp.W002", "rows": "agentapp.W003"}
    return [checks.Warning(sentence, id=ids[word]) for word, sentence in found]
