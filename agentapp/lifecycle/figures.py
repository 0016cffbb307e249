"""How the platform stands at a moment, for /metrics: a few statements, none of which reads a whole table. [H1]

Each reads rows that are few by their nature, or follows an index and stops at a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection

from agentapp.lifecycle import database
from agentapp.models.tenant import DRILL

# Of a state; a number that is larger is told as this one.
MOST_COUNTED = 100_000
MOST_KEYS = 100
MOST_TOTALS = 500
# How many more are counted, to tell that they were left out.
MOST_LEFT_OUT = 10_000
# Each route by method and class of status.
MOST_ROUTES = 5_000
# What happened at a key for the last time before that is told of no more.
TOTAL_SHOWN = "30 days"

Row = dict[str, Any]

# Without the order of its index Postgres may look for such jobs in the whole table.
_STATES = """
SELECT state, queue, count(*) AS n FROM (
  SELECT state, queue FROM agentapp_job WHERE state IN ('retryable', 'scheduled') ORDER BY scheduled_at LIMIT %(most)s
) waiting GROUP BY 1, 2
UNION ALL
SELECT 'dead_lettered', queue, count(*) FROM (
  SELECT queue, tenant_id FROM agentapp_job WHERE state = 'dead_lettered' ORDER BY finished_at DESC LIMIT %(most)s
) dead WHERE tenant_id IS DISTINCT FROM %(drill)s GROUP BY 2"""
_OLDEST_DEAD = """
SELECT extract(epoch FROM %(now)s - finished_at)::float AS age_s FROM agentapp_job
 WHERE state = 'dead_lettered' AND tenant_id IS DISTINCT FROM %(drill)s ORDER BY finished_at LIMIT 1"""
_QUEUES = """
SELECT name AS queue, waiting, slots, mode, greatest(0, extract(epoch FROM %(now)s - oldest_at))::float AS age_s
  FROM agentapp_limit WHERE scope = 'queue' ORDER BY key LIMIT %(keys)s"""
_LIMITED = """
SELECT key, scope, name, concurrency FROM agentapp_limit
 WHERE concurrency IS NOT NULL AND scope NOT IN ('tenant', 'budget', 'queue') ORDER BY key LIMIT %(keys)s"""
_STOPPED = """
SELECT scope, CASE WHEN mode <> 'open' THEN mode ELSE 'breaker' END AS reason, count(*) AS n FROM agentapp_limit
 WHERE mode <> 'open' OR breaker <> 'closed' GROUP BY 1, 2"""
_WAITING = """
SELECT l.key, coalesce(t.slug, '') AS tenant, l.waiting FROM agentapp_limit l
  LEFT JOIN agentapp_tenant t ON l.key = 'tenant:' || t.id
 WHERE l.key = 'global' OR l.scope = 'tenant' AND %(tenants)s > 0
 ORDER BY l.key <> 'global', l.waiting DESC, l.key LIMIT 1 + %(tenants)s"""
_BUDGETS = """
SELECT t.slug AS tenant, greatest(d.tokens / nullif(l.tokens_per_day, 0)::float,
                                  d.cost_usd::float / nullif(l.cost_usd_per_day, 0)) AS used
  FROM agentapp_tenantday d JOIN agentapp_limit l ON l.key = 'budget:' || d.tenant_id
  JOIN agentapp_tenant t ON t.id = d.tenant_id
 WHERE d.day = (%(now)s AT TIME ZONE 'UTC')::date AND (l.tokens_per_day > 0 OR l.cost_usd_per_day > 0)
 ORDER BY used DESC NULLS LAST, t.slug LIMIT greatest(1, %(tenants)s)"""
_WORKERS = """
SELECT queue, count(*) FILTER (WHERE w.draining_at IS NULL AND w.seen_at > %(now)s - make_interval(secs => %(alive)s))
         AS living,
       extract(epoch FROM %(now)s - max(w.seen_at))::float AS age_s
  FROM agentapp_worker w CROSS JOIN LATERAL unnest(w.queues) queue GROUP BY 1"""
_SILENT = """
SELECT count(*) AS n FROM agentapp_worker
 WHERE draining_at IS NULL AND seen_at <= %(now)s - make_interval(secs => %(alive)s)
   AND seen_at > %(now)s - interval '15 minutes'"""
_SAMPLED = """
SELECT extract(epoch FROM %(now)s - minute)::float - 60 AS age_s FROM agentapp_sample ORDER BY minute DESC LIMIT 1"""
_DISPATCHER = "SELECT extract(epoch FROM %(now)s - renewed_at)::float AS age_s FROM agentapp_dispatcherlease"
_DRILL = """
SELECT passed, extract(epoch FROM %(now)s - finished_at)::float AS age_s FROM agentapp_drillreport
 ORDER BY id DESC LIMIT 1"""
_TOTALS = """
SELECT key, entered, begun, dead_lettered, completed, failed, cancelled, retried, limited, happened, prompt_tokens,
       completion_tokens, cost_usd::float AS cost_usd, waits, runs, wait_s, run_s
  FROM agentapp_total WHERE minute > %(now)s - %(shown)s::interval AND key NOT LIKE 'route:%%'
 ORDER BY key NOT LIKE 'queue:%%', key NOT LIKE 'event:%%', key NOT LIKE 'webhook:%%', key
 LIMIT %(totals)s"""
_KNOWN = """
SELECT count(*) AS n FROM (
  SELECT 1 FROM agentapp_total WHERE minute > %(now)s - %(shown)s::interval AND key NOT LIKE 'route:%%'
   LIMIT %(totals)s + %(left_out)s) shown"""
_ROUTES = """
SELECT key, runs, run_s FROM agentapp_total
 WHERE minute > %(now)s - %(shown)s::interval AND key LIKE 'route:%%' ORDER BY key LIMIT %(routes)s"""

STATEMENTS: Mapping[str, str] = {
    "states": _STATES, "oldest_dead": _OLDEST_DEAD, "queues": _QUEUES, "limited": _LIMITED, "stopped": _STOPPED,
    "waiting": _WAITING, "budgets": _BUDGETS, "workers": _WORKERS, "silent": _SILENT, "sampled": _SAMPLED,
    "dispatcher": _DISPATCHER, "drill": _DRILL, "totals": _TOTALS, "known": _KNOWN, "routes": _ROUTES,
}  # fmt: skip


def read(*, alive_s: float, tenants: int) -> dict[str, list[Row]]:
    """Ask each of STATEMENTS; `tenants` is how many may be named, a worker that is silent for `alive_s` does not live.

    Call it within `bounded`. Raises django.db.Error.
    """
    with database.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM agentapp_tenant WHERE slug = %s", [DRILL])
        drill = cursor.fetchone()
        parameters = {
            "now": database.now(), "drill": drill[0] if drill else None, "alive": alive_s, "tenants": tenants,
            "most": MOST_COUNTED, "keys": MOST_KEYS, "totals": MOST_TOTALS, "routes": MOST_ROUTES,
            "shown": TOTAL_SHOWN, "left_out": MOST_LEFT_OUT,
        }  # fmt: skip
        found = {}
        for name, statement in STATEMENTS.items():
            cursor.execute(statement, parameters)
            columns = [column.name for column in cursor.description]
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        return found


@contextmanager
def bounded(*, statement_timeout_s: float) -> Iterator[None]:
    """A transaction whose statements take no longer than that each, behind a connection pooler too."""
    with database.atomic():
        with connection.cursor() as cursor:
            milliseconds = f"{statement_timeout_s * 1000:.0f}ms"
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
        yield
