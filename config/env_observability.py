"""The settings of metrics and traces. See config/env.py."""

from __future__ import annotations

from functools import partial

from config.setting import Setting, api_key, whole

METRICS_TOKEN = Setting(
    "AGENTAPP_METRICS_TOKEN",
    "",
    api_key,
    "a-long-random-text",
    "What Prometheus sends as `Authorization: Bearer` to read /metrics. Unset: it needs an API key with gates:read.",
    secret=True,
)
METRICS_TENANTS = Setting(
    "AGENTAPP_METRICS_TENANTS",
    0,
    partial(whole, most=100),
    "20",
    "How many tenants /metrics names, those with the longest queues and the most spent budgets first; 0 names none.",
    unit="tenants",
)
