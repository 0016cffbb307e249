"""running -> running: the heartbeat of a process, and the lock that lives as long as its session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentapp.lifecycle import database

if TYPE_CHECKING:
    import psycopg


def hold_lock(session: psycopg.Connection, process: int) -> bool:
    """Hold the advisory lock of this process in its session; False while a broken session of ours still has it.

    Behind a connection pooler there is no session to hold it: the heartbeat alone tells then that the process lives.
    """
    if not database.is_direct(session):
        return True
    row = session.execute("SELECT pg_try_advisory_lock(%s)", (process,)).fetchone()
    return bool(row and row[0])


def beat(
    session: psycopg.Connection,
    leases: Mapping[UUID, UUID],
    *,
    process: int,
    name: str,
    pool: str,
    queues: Sequence[str],
    lease_s: float,
    draining: bool,
    slots: int,
    counts: Mapping[str, Any],
) -> tuple[dict[UUID, str], bool]:
    """Extend `leases` (job id -> token) by `lease_s` from now and say that the process lives, in one statement.

    `slots` is how many bodies it can run at once, `counts` what it has done since it started.

    Returns the jobs that are no longer this process's, with the state that they are in, and whether any job anywhere
    waits behind a gate or in a queue.
    """
    answer = database.ask(
        session, "heartbeat", process=process, name=name, pool=pool, slots=slots, queues=list(queues),
        leases={str(job): str(token) for job, token in leases.items()}, lease_s=lease_s, draining=draining,
        counts=counts, backend_pid=session.info.backend_pid,
    )  # fmt: skip
    return {UUID(job): state for job, state in answer["gone"].items()}, bool(answer["waits"])
