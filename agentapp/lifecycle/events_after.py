"""Reading the history as events: pages of many tasks in one statement, and nothing that a crash could still take back.

A claim commits without waiting for the disk, so its row is visible before it is durable. A client that was shown it and
resumes behind it after a crash would be ahead of the history, and miss what gets that number instead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.lifecycle import database

Json = dict[str, Any]
# How far the log must still reach the disk. The position is read within a statement, and so behind its snapshot: all
# that the statement sees lies before it.
TO_FLUSH = """
(SELECT CASE WHEN p.flushed < p.inserted THEN p.inserted::text END
   FROM (SELECT pg_current_wal_flush_lsn() AS flushed, pg_current_wal_insert_lsn() AS inserted OFFSET 0) p)
"""
_PAGES = f"""
WITH wanted AS (
  SELECT * FROM unnest(%s::uuid[], %s::int[], %s::bool[]) WITH ORDINALITY AS w (task, after, is_new, n)
)
SELECT json_build_object(
  'to_flush', {TO_FLUSH},
  'pages', (
    SELECT json_agg(json_build_object(
             'n', w.n, 'seq', t.seq, 'is_over', t.finished_at IS NOT NULL, 'rows', page.rows,
             'running', CASE WHEN w.is_new THEN (SELECT json_object_agg(r.id, r.attempt) FROM agentapp_job r
                                                  WHERE r.workflow_id = w.task AND r.state = 'running') END))
      FROM wanted w
      LEFT JOIN agentapp_workflow t ON t.id = w.task
      CROSS JOIN LATERAL (
        SELECT json_agg(json_build_object(
                 'seq', h.seq, 'at', h.at, 'noun', h.noun, 'from', h.from_state, 'to', h.to_state, 'reason', h.reason,
                 'data', h.data, 'approval', h.approval_id,
                 'job', CASE WHEN h.job_id IS NOT NULL THEN
                   json_build_object('id', h.job_id, 'type', j.type, 'stage', s.name, 'part', j.part) END,
                 'end', CASE WHEN h.noun = 'workflow' AND h.to_state IN ('completed', 'failed', 'cancelled') THEN
                   json_build_object('result', t.result, 'error', t.error) END) ORDER BY h.seq) AS rows
          FROM (SELECT * FROM agentapp_history e
                 WHERE e.workflow_id = w.task AND e.seq > w.after ORDER BY e.seq LIMIT %s) h
          LEFT JOIN agentapp_job j ON j.id = h.job_id
          LEFT JOIN agentapp_stage s ON s.id = j.stage_id) page)
)::text
"""  # noqa: S608 - constants
# A commit that waits for the disk has everything on it that came before, whatever this session would do by itself. One
# of another session may have done it meanwhile.
_FLUSH = """
SELECT set_config('synchronous_commit', 'on', true),
       CASE WHEN pg_current_wal_flush_lsn() < %s::pg_lsn THEN pg_logical_emit_message(true, 'agentapp', '')::text END
"""


@dataclass(frozen=True)
class Page:
    """Rows of a task's history, in order. `seq` is the number of its last one, None for a task that is not there.

    `running` are the jobs that run as of `seq`, with their attempts, for a place that was asked for it.
    """

    rows: Sequence[Json]
    seq: int | None
    is_over: bool
    running: dict[str, int]


@dataclass(frozen=True)
class Place:
    """The rows of a task that come after the number `after`; `is_new`: with the jobs that run."""

    task: UUID
    after: int
    is_new: bool


def pages(wanted: Sequence[Place], *, limit: int) -> list[Page]:
    """Return for each place the durable rows that come after it, at most `limit`, in the same order. One round trip;
    two when something was visible before it was durable.

    Raises:
        Unavailable, DatabaseBusy: try again later.
    """
    places = [[p.task for p in wanted], [p.after for p in wanted], [p.is_new for p in wanted]]
    found = json.loads(database.statement(_PAGES, [*places, limit]))
    answers = sorted(found["pages"] or (), key=lambda page: page["n"])
    if found["to_flush"] and any(page["rows"] for page in answers):
        flush(found["to_flush"])
    return [Page(page["rows"] or (), page["seq"], page["is_over"], page["running"] or {}) for page in answers]


def flush(position: str) -> None:
    """Bring the log to the disk up to a position. Raises like `pages`."""
    database.statement(_FLUSH, [position])
