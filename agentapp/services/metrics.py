"""What /metrics shows: the metrics of the catalogue, collected once for all who ask at the same time. [H1]"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from typing import Any

from django.db import connections

from agentapp import conf, registry
from agentapp.lifecycle import figures, replica, tenant_context
from agentapp.models import Approval, WebhookEndpoint
from agentapp.policies import durations, faults
from agentapp.policies.faults import Fault
from agentapp.services import dispatchers, gates, operations
from agentapp.states import KeyMode

# Who asks within so long gets what the one before got: two Prometheus servers cost as much as one.
SHARED_S = 2.0
STATEMENT_TIMEOUT_S = 2.0
# What comes of a try to deliver a webhook.
DELIVERIES = ("delivered", "failed", "gone", "skipped")
# Prometheus gives up after 10 seconds, and then does not learn that it is Postgres.
WAIT_S = 6.0

Labels = tuple[str, ...]
Row = figures.Row


@dataclass(frozen=True)
class Counts:
    """Of a histogram: how many fell between two bounds, as in policies.durations, and all of them together."""

    counts: list[int]
    total_s: float


# By name of the metric: the values of its labels, and the value.
Found = dict[str, dict[Labels, float | Counts]]
DOWN: Found = {"agentapp_up": {(): 0.0}}


class Shared:
    """One collection at a time, in a thread of its own: while Postgres hangs it waits, and who asks does not."""

    def __init__(self, collect: Callable[[], Found]) -> None:
        self._collect = collect
        self._lock = threading.Lock()
        self._collector = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._latest: Future[Found] | None = None
        self._begun_s = 0.0

    def get(self) -> Found:
        """Collect, or wait for a collection that is under way; DOWN where Postgres does not answer in time."""
        with self._lock:
            is_old = time.monotonic() - self._begun_s > SHARED_S
            if self._latest is None or (self._latest.done() and is_old):
                self._latest, self._begun_s = self._collector.submit(self._collect), time.monotonic()
            latest = self._latest
        try:
            return latest.result(timeout=WAIT_S)
        except TooLate:
            return DOWN


def collected() -> Found:
    """Collect in a thread that keeps no connection; DOWN where Postgres does not answer."""
    try:
        with faults.caught(Fault.OUTAGE, Fault.LIMIT, Fault.CONTENTION), tenant_context.platform_rows():
            return replica.read(collect)
        return DOWN
    finally:
        connections.close_all()


def collect() -> Found:
    """Ask Postgres for everything. The number of statements does not depend on how much there is.

    Raises:
        django.db.Error, Unavailable: Postgres does not answer.
    """
    began_s = time.monotonic()
    found: Found = {}
    alive_s = max(1.0, conf.heartbeat_s()) * operations.SILENT_HEARTBEATS
    with figures.bounded(statement_timeout_s=STATEMENT_TIMEOUT_S):
        rows = figures.read(alive_s=alive_s, tenants=conf.metrics_tenants())
        running = gates.running_by_key()
        for name, labels, value in (*_of_rows(rows, running), *_of_people()):
            found.setdefault(name, {})[labels] = value
        health = dispatchers.health()
    failing = 0 if health.state == "down" else len(health.sentences) + len(health.problems)
    found["agentapp_dispatcher_duties_failing"] = {(): failing}
    found["agentapp_up"] = {(): 1.0}
    found["agentapp_collect_duration_seconds"] = {(): time.monotonic() - began_s}
    return found


shared = Shared(collected)
Values = Iterator[tuple[str, Labels, float | Counts]]


def _of_rows(rows: Mapping[str, list[Row]], running: Mapping[str, int]) -> Values:
    yield from _of_queues(rows, running)
    yield from _of_limits(rows, running)
    yield from _of_processes(rows)
    for outcome in DELIVERIES:
        yield "agentapp_webhook_deliveries", (outcome,), 0
    for total in (*rows["totals"], *rows["routes"]):
        yield from _of_total(total)
    yield "agentapp_totals_left_out", (), rows["known"][0]["n"] - len(rows["totals"])


def _of_queues(rows: Mapping[str, list[Row]], running: Mapping[str, int]) -> Values:
    known = {row["queue"]: row for row in rows["queues"]}
    workers = {row["queue"]: row for row in rows["workers"]}
    for queue in sorted({*registry.worker_classes, *known}):
        row = known.get(queue, {})
        yield "agentapp_jobs", (queue, "available"), row.get("waiting", 0)
        yield "agentapp_jobs", (queue, "running"), running.get(f"queue:{queue}", 0)
        yield "agentapp_jobs", (queue, "scheduled"), 0
        yield "agentapp_jobs", (queue, "retryable"), 0
        yield "agentapp_dead_letters", (queue,), 0
        yield "agentapp_queue_oldest_job_age_seconds", (queue,), row.get("age_s") or 0.0
        yield "agentapp_queue_target_seconds", (queue,), conf.queue_target_s(queue)
        yield "agentapp_queue_slots", (queue,), row.get("slots", 0)
        yield "agentapp_queue_stopped", (queue,), int(row.get("mode", KeyMode.OPEN) != KeyMode.OPEN)
        yield "agentapp_workers", (queue,), workers.get(queue, {}).get("living", 0)
        if queue in workers:
            yield "agentapp_worker_heartbeat_age_seconds", (queue,), max(0.0, workers[queue]["age_s"])
    for row in rows["states"]:
        if row["state"] == "dead_lettered":
            yield "agentapp_dead_letters", (row["queue"],), row["n"]
        else:
            yield "agentapp_jobs", (row["queue"], row["state"]), row["n"]
    yield "agentapp_dead_letter_oldest_age_seconds", (), _age(rows["oldest_dead"]) or 0.0


def _of_limits(rows: Mapping[str, list[Row]], running: Mapping[str, int]) -> Values:
    for row in rows["limited"]:
        yield "agentapp_gate_slots", (row["scope"], row["name"]), row["concurrency"]
        yield "agentapp_gate_running", (row["scope"], row["name"]), running.get(row["key"], 0)
    for row in rows["stopped"]:
        yield "agentapp_keys_stopped", (row["scope"], row["reason"]), row["n"]
    yield "agentapp_tasks_waiting", (), 0
    for row in rows["waiting"]:
        if row["key"] == "global":
            yield "agentapp_tasks_waiting", (), row["waiting"]
        elif row["tenant"]:
            yield "agentapp_tenant_tasks_waiting", (row["tenant"],), row["waiting"]
    budgets = [row for row in rows["budgets"] if row["used"] is not None]
    yield "agentapp_budget_used_ratio", (), max((row["used"] for row in budgets), default=0.0)
    for row in budgets[: conf.metrics_tenants()]:
        yield "agentapp_tenant_budget_used_ratio", (row["tenant"],), row["used"]


def _of_processes(rows: Mapping[str, list[Row]]) -> Values:
    yield "agentapp_workers_silent", (), rows["silent"][0]["n"]
    ages = {
        "agentapp_sampled_age_seconds": _age(rows["sampled"]),
        "agentapp_dispatcher_heartbeat_age_seconds": _age(rows["dispatcher"]),
        "agentapp_drill_age_seconds": _age(rows["drill"]),
    }
    for name, age_s in ages.items():
        if age_s is not None:
            yield name, (), age_s
    for row in rows["drill"]:
        yield "agentapp_drill_passed", (), 1.0 if row["passed"] else 0.0


def _of_people() -> Values:
    approvals = operations.without_drill(Approval.objects.filter(state="pending"))
    pending = operations.waiting(approvals)
    yield "agentapp_approvals_pending", (), pending.count
    yield "agentapp_approval_oldest_age_seconds", (), pending.oldest_s
    yield "agentapp_approvals_overdue", (), operations.overdue(approvals).count
    yield "agentapp_webhook_endpoints_failing", (), operations.failing(WebhookEndpoint.objects.all()).count()


def _of_total(total: Row) -> Values:
    scope, _, name = total["key"].partition(":")
    match scope:
        case "queue":
            for column in ("entered", "begun", "dead_lettered"):
                yield f"agentapp_jobs_{column}", (name,), total[column]
            yield from _by(total, "agentapp_attempts", name, ("completed", "failed"))
            yield "agentapp_attempts_retried", (name,), total["retried"]
            yield "agentapp_job_wait_seconds", (name,), Counts(total["waits"], total["wait_s"])
            yield "agentapp_attempt_duration_seconds", (name,), Counts(total["runs"], total["run_s"])
        case "model":
            yield from _by(total, "agentapp_model_calls", name, ("completed", "failed", "limited"))
            yield "agentapp_model_latency_seconds", (name,), Counts(total["runs"], total["run_s"])
            yield "agentapp_model_tokens", (name, "input"), total["prompt_tokens"]
            yield "agentapp_model_tokens", (name, "output"), total["completion_tokens"]
            yield "agentapp_model_cost_usd", (name,), total["cost_usd"]
        case "tool":
            yield from _by(total, "agentapp_tool_calls", name, ("completed", "failed"))
            yield "agentapp_tool_latency_seconds", (name,), Counts(total["runs"], total["run_s"])
        case "kind":
            yield from _by(total, "agentapp_tasks_finished", name, ("completed", "failed", "cancelled"))
            yield "agentapp_task_duration_seconds", (name,), Counts(total["runs"], total["run_s"])
        case "webhook":
            yield "agentapp_webhook_deliveries", (name,), total["completed"]
        case "route":
            method, status, route = name.split(" ", 2)
            counts = Counts(total["runs"], total["run_s"])
            yield "agentapp_http_request_duration_seconds", (method, route, status), counts
        case "event":
            yield "agentapp_worker_errors", (name,), total["happened"]


def _by(total: Row, metric: str, name: str, columns: Iterable[str]) -> Values:
    for column in columns:
        yield metric, (name, column), total[column]


def _age(rows: list[Row]) -> float | None:
    """The age of the only row, which no clock makes negative."""
    age_s: Any = rows[0]["age_s"] if rows else None
    return None if age_s is None else max(0.0, age_s)


def buckets(counts: list[int]) -> list[tuple[str, float]]:
    """Counts between bounds as Prometheus wants them: how many did not exceed each bound."""
    upper = [*(str(bound) for bound in durations.BOUNDS_S), "+Inf"]
    passed, found = 0.0, []
    for number, bound in enumerate(upper):
        passed += counts[number] if number < len(counts) else 0
        found.append((bound, passed))
    return found
