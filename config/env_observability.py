"""The settings of metrics and traces. See config/env.py."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

from config import addresses
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
OTLP_URL = Setting(
    "AGENTAPP_OTLP_URL",
    "",
    addresses.web_url,
    "http://collector:4318/v1/traces",
    "Where spans are sent, by OTLP over HTTP; needs deploy/requirements/extras.txt. Unset: none are made.",
)


def otlp_url() -> str:
    """Raises ImproperlyConfigured where it is set and the packages are missing."""
    url = OTLP_URL.read()
    if url and not all(find_spec(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter")):
        raise ImproperlyConfigured(
            "AGENTAPP_OTLP_URL is set, and OpenTelemetry is not installed: install deploy/requirements/extras.txt, or "
            "unset it."
        )
    return url
