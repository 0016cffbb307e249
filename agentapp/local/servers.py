"""The embedded servers alone: Postgres and Valkey under one home, up together and down together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentapp.local.child import Program
from agentapp.local.postgres import EmbeddedPostgres
from agentapp.local.supervisor import Supervisor
from agentapp.local.valkey import EmbeddedValkey
from agentapp.local.waiting import until_ready

READY_TIMEOUT_S = 60.0


def start_servers(
    supervisor: Supervisor,
    *,
    logs: Path,
    postgres: EmbeddedPostgres | None,
    valkey: EmbeddedValkey | None,
) -> None:
    """Start what is given and return when both answer; None = somebody else runs that one.

    Raises:
        StackProblem: one of them does not come up.
    """
    started: list[tuple[Program, Callable[[], bool]]] = []
    for server in (postgres, valkey):
        if server is not None:
            program = server.program()
            supervisor.start(program)
            started.append((program, server.is_ready))
    for program, is_ready in started:
        until_ready(supervisor, program.name, is_ready, log=logs / f"{program.name}.log", timeout_s=READY_TIMEOUT_S)


def stop_servers(supervisor: Supervisor) -> None:
    """Stop the broker first: what Postgres holds is the truth."""
    supervisor.stop(["valkey"])
    supervisor.stop(["postgres"])
