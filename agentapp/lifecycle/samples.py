"""Measurements of each minute, read from rows that exist: history, attempts, model calls, limits."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q

from agentapp import ids
from agentapp.lifecycle import database
from agentapp.models import Job, Limit, Sample, Tenant
from agentapp.models.tenant import DRILL
from agentapp.policies import durations
from agentapp.states import BreakerState, JobState, KeyMode

MINUTE = timedelta(minutes=1)
# A move that took place in a minute may commit a little later.
GRACE = timedelta(seconds=5)
# After an absence so many minutes are measured later; of those before nothing is known.
MOST_MINUTES = 15
# What waits behind more keys than these is not counted, nor are more models, tools and kinds of tasks.
MOST_KEYS = 50
PLATFORM = "platform"
# Model calls are found by their ids, which begin with the moment at which they were made.
_ID_SLACK = timedelta(minutes=2)

# BRIN indexes on `at` and `finished_at` lead to the pages that were written lately.
_MOVES = """
SELECT date_trunc('minute', h.at) AS minute, j.queue,
       count(*) FILTER (WHERE h.to_state = 'available' OR h.to_state = 'running' AND h.from_state = 'pending')
         AS entered,
       count(*) FILTER (WHERE h.to_state = 'running') AS begun,
       count(*) FILTER (WHERE h.to_state = 'dead_lettered') AS dead_lettered
  FROM agentapp_history h JOIN agentapp_job j ON j.id = h.job_id
 WHERE h.at >= %(since)s AND h.at < %(until)s AND h.noun = 'job'
   AND h.to_state IN ('available', 'running', 'dead_lettered') AND j.tenant_id IS DISTINCT FROM %(drill)s
 GROUP BY 1, 2"""
# Of a job that has become available again since, nothing tells any more for how long this attempt had waited. What came
# of the last try to deliver a webhook is the output of its job.
_ATTEMPTS = """
WITH ended AS (
  SELECT date_trunc('minute', a.finished_at) AS minute, j.queue, j.tool, a.outcome, a.number > 1 AS retried,
         CASE WHEN j.available_at <= a.started_at THEN extract(epoch FROM a.started_at - j.available_at)::float END
           AS wait_s,
         extract(epoch FROM a.finished_at - a.started_at)::float AS run_s,
         CASE WHEN j.type <> 'deliver_webhook' THEN '' WHEN a.outcome = 'completed' THEN j.output ->> 'outcome'
              WHEN a.outcome IN ('failed', 'lost') THEN 'failed' ELSE '' END AS delivery
    FROM agentapp_attempt a JOIN agentapp_job j ON j.id = a.job_id
   WHERE a.finished_at >= %(since)s AND a.finished_at < %(until)s AND j.tenant_id IS DISTINCT FROM %(drill)s)
SELECT minute, queue, tool, outcome, retried, delivery, width_bucket(wait_s, %(bounds)s::float[]),
       width_bucket(run_s, %(bounds)s::float[]), count(*), coalesce(sum(wait_s), 0), sum(run_s)
  FROM ended GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""
_CALLS = """
SELECT date_trunc('minute', j.started_at + make_interval(secs => j.latency_s)) AS minute,
       coalesce(nullif(j.asked_model, ''), j.model) AS model,
       CASE j.error_class WHEN '' THEN 'completed' WHEN 'RateLimited' THEN 'limited' ELSE 'failed' END AS outcome,
       width_bucket(j.latency_s, %(bounds)s::float[]) AS run, count(*), sum(j.latency_s), sum(j.prompt_tokens),
       sum(j.completion_tokens), sum(j.cost_usd)
  FROM agentapp_modelcall j
 WHERE j.id >= %(first_id)s AND j.id < %(last_id)s AND j.tenant_id IS DISTINCT FROM %(drill)s
   AND j.started_at + make_interval(secs => j.latency_s) >= %(since)s
   AND j.started_at + make_interval(secs => j.latency_s) < %(until)s
 GROUP BY 1, 2, 3, 4"""
# From when it could begin. Each state by the index of what is over.
_TASKS = """
WITH ended AS (
  SELECT date_trunc('minute', j.finished_at) AS minute, j.kind, j.state,
         extract(epoch FROM j.finished_at - greatest(j.created_at, j.run_at))::float AS run_s
    FROM agentapp_workflow j
   WHERE j.state IN ('completed', 'failed', 'cancelled') AND j.finished_at >= %(since)s AND j.finished_at < %(until)s
     AND j.tenant_id IS DISTINCT FROM %(drill)s)
SELECT minute, kind, state, width_bucket(run_s, %(bounds)s::float[]), count(*), sum(run_s) FROM ended
 GROUP BY 1, 2, 3, 4"""
# Only when something is stopped: it reads every job that waits, once. Each state by its own index.
_BEHIND = """
WITH waiting AS (
  SELECT queue, tenant_id, type, model, tool FROM agentapp_job WHERE state = 'available' AND published_at IS NULL
  UNION ALL
  SELECT queue, tenant_id, type, model, tool FROM agentapp_job WHERE state = 'available' AND published_at IS NOT NULL
  UNION ALL
  SELECT queue, tenant_id, type, model, tool FROM agentapp_job WHERE state = 'scheduled')
SELECT l.key, count(*)
  FROM agentapp_limit l JOIN waiting j
    ON l.scope = 'global' OR l.scope = 'job_type' AND j.type = l.name OR l.scope = 'model' AND j.model = l.name
    OR l.scope = 'tool' AND j.tool = l.name
    OR l.scope IN ('tenant', 'budget') AND l.key IN ('tenant:' || j.tenant_id, 'budget:' || j.tenant_id)
 WHERE l.key = ANY(%(keys)s)
 GROUP BY 1"""

Found = dict[tuple[datetime, str], Sample]
# How many durations fell between which bounds, by minute and key.
Counts = defaultdict[tuple[datetime, str], Counter[int]]


def take() -> int:
    """Write the samples of each minute that is over and was not measured yet; return how many minutes.

    Twice, or by two dispatchers at once, comes to the same: of a minute and a key there is one row, the first.

    Raises:
        django.db.DatabaseError: Postgres does not answer; nothing is written.
    """
    until = (database.now() - GRACE).replace(second=0, microsecond=0)
    last = Sample.objects.order_by("-pk").values_list("minute", flat=True).first()
    since = until - MINUTE if last is None else max(last + MINUTE, until - MOST_MINUTES * MINUTE)
    if since >= until:
        return 0
    minutes = round((until - since) / MINUTE)
    found: Found = {}
    for number in range(minutes):
        _of(found, since + number * MINUTE, PLATFORM)
    _add_flow(found, since, until)
    _add_state(found, until - MINUTE)
    with database.atomic():
        Sample.objects.bulk_create(found.values(), ignore_conflicts=True)
    return minutes


def _of(found: Found, minute: datetime, key: str) -> Sample:
    return found.setdefault((minute, key), Sample(minute=minute, key=key))


def _add_flow(found: Found, since: datetime, until: datetime) -> None:
    """What happened between two moments."""
    drill = Tenant.objects.filter(slug=DRILL).values_list("pk", flat=True).first()
    between = {
        "since": since, "until": until, "first_id": ids.lowest(since - _ID_SLACK),
        "last_id": ids.lowest(until + _ID_SLACK), "drill": drill, "bounds": list(durations.BOUNDS_S),
    }  # fmt: skip
    waits, runs = Counts(Counter), Counts(Counter)
    _add_moves(found, between)
    _add_attempts(found, between, waits, runs)
    _add_calls(found, between, runs)
    _add_tasks(found, between, runs)
    for place, sample in found.items():
        sample.waits, sample.runs = durations.listed(waits[place]), durations.listed(runs[place])


def _add_moves(found: Found, between: dict[str, Any]) -> None:
    for minute, queue, entered, begun, dead_lettered in _rows(_MOVES, between):
        sample = _of(found, minute, f"queue:{queue}")
        sample.entered, sample.begun, sample.dead_lettered = entered, begun, dead_lettered


def _add_attempts(found: Found, between: dict[str, Any], waits: Counts, runs: Counts) -> None:
    tools = _Known()
    for minute, queue, tool, outcome, is_retry, delivery, wait, run, count, wait_s, run_s in _rows(_ATTEMPTS, between):
        if delivery:
            _of(found, minute, f"webhook:{delivery}").completed += count
        samples = [_of(found, minute, f"queue:{queue}")]
        if tool and tools.takes(tool):
            samples.append(_of(found, minute, f"tool:{tool}"))
        for sample in samples:
            sample.completed += count if outcome == "completed" else 0
            sample.failed += count if outcome in ("failed", "lost") else 0
            sample.retried += count if is_retry else 0
            sample.wait_s += wait_s
            sample.run_s += run_s
            runs[minute, sample.key][run] += count
            if wait is not None:
                waits[minute, sample.key][wait] += count


def _add_calls(found: Found, between: dict[str, Any], runs: Counts) -> None:
    models = _Known()
    for minute, model, outcome, run, count, run_s, prompt_tokens, completion_tokens, cost_usd in _rows(_CALLS, between):
        if not models.takes(model):
            continue
        sample = _of(found, minute, f"model:{model}")
        setattr(sample, outcome, getattr(sample, outcome) + count)
        sample.prompt_tokens += prompt_tokens
        sample.completion_tokens += completion_tokens
        sample.cost_usd += cost_usd
        sample.run_s += run_s
        runs[minute, sample.key][run] += count


def _add_tasks(found: Found, between: dict[str, Any], runs: Counts) -> None:
    kinds = _Known()
    for minute, kind, state, run, count, run_s in _rows(_TASKS, between):
        if not kinds.takes(kind):
            continue
        sample = _of(found, minute, f"kind:{kind}")
        setattr(sample, state, getattr(sample, state) + count)
        sample.run_s += run_s
        runs[minute, sample.key][run] += count


class _Known:
    """The first MOST_KEYS names of a scope; more are not counted."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def takes(self, name: str) -> bool:
        if name not in self._names and len(self._names) >= MOST_KEYS:
            return False
        self._names.add(name)
        return True


def _add_state(found: Found, minute: datetime) -> None:
    """How it stands: at the end of the last minute, a few seconds ago."""
    end = minute + MINUTE
    running = dict(Job.objects.filter(state=JobState.RUNNING).values_list("queue").annotate(Count("id")).order_by())
    for limit in Limit.objects.filter(scope="queue"):
        sample = _of(found, minute, limit.key)
        sample.waiting, sample.slots, sample.running = limit.waiting, limit.slots, running.get(limit.name, 0)
        sample.oldest_s = max(0.0, (end - limit.oldest_at).total_seconds()) if limit.oldest_at else 0.0
    dead = Job.objects.filter(state=JobState.DEAD_LETTERED).exclude(tenant__slug=DRILL)
    _of(found, minute, PLATFORM).dead_letters = dead.count()
    stopped = Limit.objects.filter(~Q(mode=KeyMode.OPEN) | ~Q(breaker=BreakerState.CLOSED)).exclude(scope="queue")
    keys = list(stopped.order_by("key").values_list("key", flat=True)[:MOST_KEYS])
    for key in keys:
        _of(found, minute, key).waiting = 0
    for key, count in _rows(_BEHIND, {"keys": keys}) if keys else ():
        _of(found, minute, key).waiting = count


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with database.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
