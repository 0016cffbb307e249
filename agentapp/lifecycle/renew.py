"""running -> running: the heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    import psycopg

# One statement for all leases of a process. Locked in order, and not waited for: a row that is busy is being settled.
RENEW = """
WITH mine AS (
  SELECT id FROM agentapp_job
   WHERE lease_token = ANY(%s) AND id = ANY(%s) AND state = 'running' ORDER BY id FOR UPDATE SKIP LOCKED)
UPDATE agentapp_job j SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)
  FROM mine WHERE j.id = mine.id
"""


def renew(connection: psycopg.Connection, leases: dict[UUID, UUID], *, lease_s: float) -> None:
    """Extend `leases` (job id -> token) by `lease_s` from now. Tokens that are no longer valid are passed over."""
    with connection.transaction():
        # A renewal that a crash forgets shortens a wait, nothing more.
        connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute(RENEW, (list(leases.values()), list(leases), lease_s))
