"""How long statements of this process may take, and wait for a lock. At its start it says of which class it is."""

from __future__ import annotations

from typing import Any

import psycopg

from agentapp import conf
from agentapp.policies import time_limits
from agentapp.policies.time_limits import TimeLimits

COMMAND = "command"
_process = COMMAND


def be(process: str) -> None:
    """Be a process of this class, `web`, `worker` or `dispatcher`, from the next connection on."""
    global _process
    _process = process


def process() -> str:
    return _process


def present() -> TimeLimits:
    """The limits of this process: what the settings say, and else those of its class."""
    own, statement_s, lock_s = time_limits.of(_process), conf.statement_timeout_s(), conf.lock_timeout_s()
    return TimeLimits(
        statement_s=own.statement_s if statement_s is None else statement_s,
        lock_s=own.lock_s if lock_s is None else lock_s,
    )


def apply(session: psycopg.Connection[Any]) -> None:
    """Set them for a direct session, in one round trip. A command takes those of its role away: it may take hours.

    Behind a pooler, which tells its clients process numbers of its own, they would hold for the next client of the same
    session, such as a worker: there they are settings of the role (`manage.py database_roles`).
    """
    found = dict(present().parameters())
    session.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)"
        " WHERE pg_backend_pid() = %s",
        (found["statement_timeout"], found["lock_timeout"], session.info.backend_pid),
    )
