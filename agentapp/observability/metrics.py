"""Metrics, not numbers: every name stands in one catalogue, with its labels and what it means. [H1]

Units are seconds, tokens, US dollars and ratios. No label names a task, a job or a document; tenants are named only
where AGENTAPP_METRICS_TENANTS asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"


@dataclass(frozen=True)
class Metric:
    """`name` without the end that its samples have: `_total` of a counter, `_bucket` of a histogram."""

    kind: str
    name: str
    words: str
    labels: tuple[str, ...] = ()


_METRICS = (
    Metric(GAUGE, "agentapp_up", "1 while Postgres answers this scrape, else 0 and nothing else"),
    Metric(GAUGE, "agentapp_collect_duration_seconds", "How long Postgres took to answer this scrape"),
    Metric(GAUGE, "agentapp_sampled_age_seconds", "For how long the last minute is over that the dispatcher measured"),
    Metric(
        GAUGE, "agentapp_totals_left_out",
        "Keys, of models, tools and kinds, whose counters are not shown because there are too many; at most 10,000",
    ),
    # Queues.
    Metric(
        GAUGE, "agentapp_jobs", "Jobs that are not over, of a state at most 100,000; available: queue depth",
        ("queue", "state"),
    ),
    Metric(
        GAUGE, "agentapp_queue_oldest_job_age_seconds",
        "For how long the oldest job has waited that a worker may claim at once", ("queue",),
    ),
    Metric(GAUGE, "agentapp_queue_target_seconds", "How long a job should wait at most", ("queue",)),
    Metric(GAUGE, "agentapp_queue_slots", "Bodies that the living workers can run at once", ("queue",)),
    Metric(GAUGE, "agentapp_queue_stopped", "1 while somebody has paused or drains the queue, else 0", ("queue",)),
    Metric(GAUGE, "agentapp_tasks_waiting", "Tasks of clients and schedules that have not begun"),
    Metric(COUNTER, "agentapp_jobs_entered", "Jobs that came to wait for a worker", ("queue",)),
    Metric(COUNTER, "agentapp_jobs_begun", "Jobs that were claimed", ("queue",)),
    Metric(COUNTER, "agentapp_jobs_dead_lettered", "Jobs that became a dead letter", ("queue",)),
    Metric(COUNTER, "agentapp_attempts", "Attempts that have ended, by outcome", ("queue", "outcome")),
    Metric(COUNTER, "agentapp_attempts_retried", "Attempts that were not the first of their job", ("queue",)),
    Metric(HISTOGRAM, "agentapp_job_wait_seconds", "How long attempts had waited for a worker", ("queue",)),
    Metric(HISTOGRAM, "agentapp_attempt_duration_seconds", "How long attempts took", ("queue",)),
    # Tasks.
    Metric(COUNTER, "agentapp_tasks_finished", "Tasks that are over, by kind and state", ("kind", "state")),
    Metric(HISTOGRAM, "agentapp_task_duration_seconds", "From when a task could begin until it was over", ("kind",)),
    # Dead letters.
    Metric(GAUGE, "agentapp_dead_letters", "Jobs that wait for a person, at most 100,000", ("queue",)),
    Metric(GAUGE, "agentapp_dead_letter_oldest_age_seconds", "For how long the oldest dead letter has waited"),
    # Models and tools.
    Metric(COUNTER, "agentapp_model_calls", "Calls of models, by outcome", ("model", "outcome")),
    Metric(HISTOGRAM, "agentapp_model_latency_seconds", "How long calls of models took", ("model",)),
    Metric(COUNTER, "agentapp_model_tokens", "Tokens of models: input is prompts", ("model", "direction")),
    Metric(COUNTER, "agentapp_model_cost_usd", "What models have cost in US dollars", ("model",)),
    Metric(COUNTER, "agentapp_tool_calls", "Attempts of jobs that use a tool, by outcome", ("tool", "outcome")),
    Metric(HISTOGRAM, "agentapp_tool_latency_seconds", "How long attempts of jobs that use a tool took", ("tool",)),
    # Limits.
    Metric(GAUGE, "agentapp_gate_slots", "How many jobs of a key may run at once", ("scope", "name")),
    Metric(GAUGE, "agentapp_gate_running", "How many jobs of a key with a limit run", ("scope", "name")),
    Metric(GAUGE, "agentapp_keys_stopped", "Keys that are paused, drained or broken", ("scope", "reason")),
    Metric(GAUGE, "agentapp_budget_used_ratio", "Of the budgets of today, the largest part that is spent; 1 is all"),
    # The API.
    Metric(
        HISTOGRAM, "agentapp_http_request_duration_seconds",
        "How long requests took until their answer began, by class of status; without probes and scrapes",
        ("method", "route", "status"),
    ),
    # People and receivers.
    Metric(GAUGE, "agentapp_approvals_pending", "Approvals that wait for a person"),
    Metric(GAUGE, "agentapp_approvals_overdue", "Of these, those that wait for too long or were escalated"),
    Metric(GAUGE, "agentapp_approval_oldest_age_seconds", "For how long the oldest approval has waited"),
    Metric(GAUGE, "agentapp_webhook_endpoints_failing", "Webhook endpoints that fail or were disabled for that"),
    Metric(
        COUNTER, "agentapp_webhook_deliveries",
        "Tries to deliver a webhook, by outcome: delivered, failed, gone (410), or skipped without a request",
        ("outcome",),
    ),
    # Processes.
    Metric(GAUGE, "agentapp_workers", "Worker processes that live and take new jobs", ("queue",)),
    Metric(GAUGE, "agentapp_workers_silent", "Worker processes that fell silent in the last 15 minutes"),
    Metric(
        GAUGE, "agentapp_worker_heartbeat_age_seconds", "For how long no worker of a queue was heard of", ("queue",)
    ),
    Metric(COUNTER, "agentapp_worker_errors", "Problems that workers logged, by event of the catalogue", ("event",)),
    Metric(GAUGE, "agentapp_dispatcher_heartbeat_age_seconds", "For how long no dispatcher has been heard of"),
    Metric(GAUGE, "agentapp_dispatcher_duties_failing", "Duties that are late, failed last, or have set items aside"),
    Metric(GAUGE, "agentapp_drill_passed", "1 when the last drill passed, else 0; nothing before the first"),
    Metric(GAUGE, "agentapp_drill_age_seconds", "For how long the last drill is over"),
    # Only with AGENTAPP_METRICS_TENANTS.
    Metric(GAUGE, "agentapp_tenant_tasks_waiting", "Tasks of a tenant that have not begun", ("tenant",)),
    Metric(GAUGE, "agentapp_tenant_budget_used_ratio", "The part of a budget of today that is spent", ("tenant",)),
)  # fmt: skip

CATALOGUE: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _METRICS})
ENDS = {GAUGE: ("",), COUNTER: ("_total",), HISTOGRAM: ("_bucket", "_sum", "_count")}


def series(metric: Metric) -> tuple[str, ...]:
    """The names that queries use."""
    return tuple(f"{metric.name}{end}" for end in ENDS[metric.kind])
