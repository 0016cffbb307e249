"""The operations page: tables of how it stands and charts of what was measured, for who runs the platform."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from agentapp.admin import cells
from agentapp.admin.base import model_page
from agentapp.admin.charts import Chart, Line, Values
from agentapp.admin.drill_reports import outcome
from agentapp.admin.limits import badges, pace_of, page_of_key
from agentapp.admin.switches import Switches
from agentapp.lifecycle.request_counts import API
from agentapp.lifecycle.samples import PLATFORM
from agentapp.models import DrillReport, Limit
from agentapp.policies import durations
from agentapp.services import brokers, dispatchers, gates, measurements, operations
from agentapp.services.measurements import PERIODS, Measurements
from agentapp.services.principals import Principal

# A minute is measured some seconds after it is over; who looks a little later sees no gap yet.
_OLD_AFTER = timedelta(minutes=3)
_NO_ROW: dict[str, Any] = {}
_SHARES = {"median": 0.5, "95th percentile": 0.95}


def page(principal: Principal, *, period: str, with_drill: bool, switches: Switches) -> dict[str, Any]:
    """Everything that the page shows. The number of statements does not depend on how much there is."""
    found = measurements.look(principal, PERIODS.get(period) or PERIODS["1h"])
    running = gates.running(principal, with_drill=with_drill)
    apart = {} if with_drill else operations.drilled()
    workers, of_workers = operations.workers(principal)
    drill = operations.last_drill()
    models = operations.named(principal, "model", found.names("model"))
    shown = {
        "stopped": [_stopped(each, switches) for each in operations.stopped(principal)],
        "queues": [_queue(queue, found, switches) for queue in operations.queues(principal, running, apart=apart)],
        "models": [_model(name, found, models, switches) for name in found.names("model")],
        "headroom": [_headroom(each, switches) for each in operations.headroom(principal, running)],
        "any_switch": switches.of_any(),
    }
    return shown | {
        "period": found.period, "periods": PERIODS.values(), "now": found.now, "measured_at": found.measured_at,
        "is_old": found.measured_at is not None and found.now - found.measured_at > _OLD_AFTER,
        "broker_is_down": not brokers.answers(), "dispatcher": dispatchers.health(),
        "workers": workers, "more_workers": of_workers - len(workers),
        "new_dead_letters": sum(row["dead_lettered"] for row in found.by_key.values()),
        "charts": charts(found), "drill": drill, "drill_outcome": outcome(drill) if drill else "",
        "drill_page": model_page(DrillReport, "change"),
    }  # fmt: skip


def _stopped(each: operations.Stopped, switches: Switches) -> dict[str, Any]:
    limit = each.limit
    return {
        "key": cells.key(limit.scope, limit.name), "url": page_of_key(limit.key), "badges": badges(limit),
        "limit": limit, "waiting": each.waiting, "error": each.error,
        "switch": switches.of(limit.scope, limit.name, limit),
    }  # fmt: skip


def _headroom(each: operations.Headroom, switches: Switches) -> dict[str, Any]:
    limit = each.limit
    return {
        "key": cells.key(limit.scope, limit.name), "url": page_of_key(limit.key), "badges": badges(limit),
        "share": cells.share(each.running, limit.concurrency), "pace": ", ".join(words for words, _ in pace_of(limit)),
        "switch": switches.of(limit.scope, limit.name, limit),
    }  # fmt: skip


def _queue(queue: operations.Queue, found: Measurements, switches: Switches) -> dict[str, Any]:
    row = found.by_key.get(f"queue:{queue.name}", _NO_ROW)
    limit = queue.limit
    return {
        "name": queue.name, "url": page_of_key(limit.key) if limit else "", "is_late": queue.is_late,
        "oldest": cells.duration(queue.oldest_s) if queue.oldest_s else "-", "target": cells.duration(queue.target_s),
        "waiting": queue.waiting, "switch": switches.of("queue", queue.name, limit),
        "share": cells.share(queue.running, limit.slots or None if limit else None),
        "entered": _rate(row, "entered", found), "begun": _rate(row, "begun", found),
        "waits": _percentiles(row, "waits"), "runs": _percentiles(row, "runs"),
        **{name: row.get(name, 0) for name in ("completed", "failed", "retried", "dead_lettered")},
    }  # fmt: skip


def _model(name: str, found: Measurements, limits: Mapping[str, Limit], switches: Switches) -> dict[str, Any]:
    row = found.by_key[f"model:{name}"]
    return row | {
        "name": name, "calls": row["completed"] + row["failed"] + row["limited"], "took": _percentiles(row, "runs"),
        "cost": cells.usd(row["cost_usd"]),
        "switch": switches.of("model", name, limits[name]) if name in limits else None,
    }  # fmt: skip


def _rate(row: dict[str, Any], name: str, found: Measurements) -> str:
    return cells.amount(round(row.get(name, 0) / found.measured_minutes, 2))


def _percentiles(row: dict[str, Any], name: str) -> str:
    """The median and the 95th percentile in words."""
    halves = (durations.percentile(row.get(name, []), share) for share in (0.5, 0.95))
    return " / ".join("-" if seconds is None else cells.duration(seconds) for seconds in halves)


def charts(found: Measurements) -> list[Chart]:
    """All pictures of a period. Of queues and models the sums are drawn; the tables tell them apart."""

    def of(scope: str, name: str, *, per_minute: bool = False, most: bool = False) -> Values:
        return [_value(found, step, scope, name, per_minute=per_minute, most=most) for step in found.steps]

    def chart(name: str, title: str, words: Callable[[float], str], **lines: Values) -> Chart:
        drawn = tuple(Line(label.replace("_", " "), values) for label, values in lines.items())
        return Chart(name, title, drawn, found.steps, words)

    def took(name: str, title: str, scope: str, column: str) -> Chart:
        rows = [found.of_scope.get((step, scope), _NO_ROW).get(column, []) for step in found.steps]
        lines = {label: [durations.percentile(row, share) for row in rows] for label, share in _SHARES.items()}
        return chart(name, title, cells.duration, **lines)

    flow = partial(of, per_minute=True)
    return [
        chart("oldest", "Oldest job", cells.duration, oldest=of("queue", "oldest_s", most=True)),
        chart("waiting", "Jobs that wait for a worker", _whole, waiting=of("queue", "waiting")),
        chart("rates", "In and out per minute", _amount, **{"in": flow("queue", "entered")},
              out=flow("queue", "begun")),
        chart("outcomes", "Runs per minute", _amount, completed=flow("queue", "completed"),
              failed=flow("queue", "failed"), retries=flow("queue", "retried")),
        chart("slots", "Running jobs and slots", _whole, running=of("queue", "running"), slots=of("queue", "slots")),
        took("waits", "Wait for a worker", "queue", "waits"),
        took("runs", "Run time", "queue", "runs"),
        chart("letters", "Dead letters", _whole, all=of(PLATFORM, "dead_letters"), new=of("queue", "dead_lettered")),
        chart("requests", "API requests per minute", _amount, answered=flow(API, "completed"),
              **{"failed (5xx)": flow(API, "failed")}),
        took("answers", "API latency", API, "runs"),
        chart("calls", "Model calls per minute", _amount, answered=flow("model", "completed"),
              failed=flow("model", "failed"), **{"refused (429)": flow("model", "limited")}),
        took("latency", "Model latency", "model", "runs"),
        chart("tokens", "Tokens per minute", _amount, prompts=flow("model", "prompt_tokens"),
              answers=flow("model", "completion_tokens")),
        chart("cost", "Cost of models", cells.usd, cost=of("model", "cost_usd")),
    ]  # fmt: skip


def _value(found: Measurements, step: datetime, scope: str, name: str, *, per_minute: bool, most: bool) -> float | None:
    """One point: the sum, or the most, of all keys of a scope. Without a row of the platform nobody has measured."""
    keys = found.by_step.get(step, {})
    if PLATFORM not in keys:
        return None
    values = [row[name] for key, row in keys.items() if key.partition(":")[0] == scope]
    known = [value for value in values if value is not None]
    if values and not known:
        return None
    # As a float, of money too.
    total: float = max(known, default=0.0) if most else math.fsum(known)
    return total / found.minutes(step) if per_minute else total


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _amount(value: float) -> str:
    return cells.amount(round(value, 2))
