"""Reading what happens to all tasks, from one moment on: rows of the history by the transaction that wrote them.

Transactions commit in another order than they begin in, so no number tells what is new. Two snapshots do: new is what
the later one sees and the earlier one does not. A transaction that is long under way holds nothing up, and what it
writes comes when it commits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentapp.lifecycle import database
from agentapp.lifecycle.events_after import TO_FLUSH, flush

Json = dict[str, Any]
# What a statement sees is what its own snapshot sees, so a place without an end is read up to that.
_ROWS = f"""
WITH wanted AS (
  SELECT w.n, w.seen::pg_snapshot AS seen, coalesce(w.until::pg_snapshot, pg_current_snapshot()) AS until,
         w.xid::xid8 AS xid, w.task, w.seq
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::uuid[], %s::int[])
         WITH ORDINALITY AS w (seen, until, xid, task, seq, n)
)
SELECT json_build_object(
  'to_flush', {TO_FLUSH},
  'now', pg_current_snapshot()::text,
  'pages', (
    SELECT json_agg(json_build_object(
             'n', w.n, 'rows', page.rows,
             'is_known', pg_snapshot_xmax(w.seen) <= pg_snapshot_xmax(pg_current_snapshot())))
      FROM wanted w
      CROSS JOIN LATERAL (
        SELECT json_agg(json_build_object(
                 'xid', h.xid, 'task', h.workflow_id, 'seq', h.seq, 'at', h.at, 'noun', h.noun, 'from', h.from_state,
                 'to', h.to_state, 'reason', h.reason, 'data', h.data, 'approval', h.approval_id, 'job', NULL,
                 'tenant', h.tenant_id, 'kind', h.kind, 'labels', h.labels,
                 'end', CASE WHEN h.noun = 'workflow' AND h.to_state IN ('completed', 'failed', 'cancelled') THEN
                   json_build_object('result', h.result, 'error', h.error) END
               ) ORDER BY h.xid, h.workflow_id, h.seq) AS rows
          FROM (SELECT e.*, t.tenant_id, t.kind, t.labels, t.result, t.error
                  FROM agentapp_history e
                  JOIN agentapp_workflow t ON t.id = e.workflow_id
                 WHERE e.noun <> 'job' AND e.xid IS NOT NULL
                   AND e.xid >= pg_snapshot_xmin(w.seen) AND e.xid < pg_snapshot_xmax(w.until)
                   AND NOT pg_visible_in_snapshot(e.xid, w.seen) AND pg_visible_in_snapshot(e.xid, w.until)
                   AND (w.xid IS NULL OR (e.xid, e.workflow_id, e.seq) > (w.xid, w.task, w.seq))
                   AND (%s::bigint[] IS NULL OR t.tenant_id = ANY(%s)) AND t.origin IN ('client', 'schedule')
                 ORDER BY e.xid, e.workflow_id, e.seq LIMIT %s) h) page)
)::text
"""  # noqa: S608 - constants
_NOW = "SELECT pg_current_snapshot()::text"


@dataclass(frozen=True)
class Position:
    """Behind everything that the snapshot `seen` sees; and of what `until` sees beyond it, behind `key`."""

    seen: str
    until: str | None = None
    key: tuple[str, str, int] | None = None

    def at(self, row: Json) -> Position:
        """The position behind a row that was read from here on."""
        return replace(self, key=(row["xid"], row["task"], row["seq"]))


@dataclass(frozen=True)
class Page:
    """`rows` lie behind `start`; `next` is where to go on, `has_more` whether there is more already.

    `is_known` is False for a position of another database, or of one that was restored.
    """

    rows: Sequence[Json]
    start: Position
    next: Position
    has_more: bool
    is_known: bool


def now() -> Position:
    """The position behind everything that is committed. Raises Unavailable, DatabaseBusy."""
    return Position(database.statement(_NOW, []))


def pages(wanted: Sequence[Position], *, tenants: Sequence[int] | None, limit: int) -> list[Page]:
    """Return for each position the durable rows of these tenants behind it, at most `limit`; None means all tenants.

    Raises:
        Unavailable, DatabaseBusy: try again later.
    """
    keys: list[Any] = [position.key or (None, None, None) for position in wanted]
    places = [[p.seen for p in wanted], [p.until for p in wanted], *([key[n] for key in keys] for n in range(3))]
    found = json.loads(database.statement(_ROWS, [*places, tenants, tenants, limit]))
    answers = sorted(found["pages"] or (), key=lambda page: page["n"])
    if found["to_flush"] and any(page["rows"] for page in answers):
        flush(found["to_flush"])
    return [
        _page(position, page, now=found["now"], limit=limit) for position, page in zip(wanted, answers, strict=True)
    ]


def _page(position: Position, page: Json, *, now: str, limit: int) -> Page:
    rows: Sequence[Json] = page["rows"] or []
    start = replace(position, until=position.until or now)
    if len(rows) == limit:
        return Page(rows, start, start.at(rows[-1]), has_more=True, is_known=page["is_known"])
    following = Position(position.until or now)
    return Page(rows, start, following, has_more=position.until is not None, is_known=page["is_known"])
