"""agentapp's own settings. config/env.py declares them with their defaults and units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from django.conf import settings


def home() -> Path:
    """The folder of everything that this installation writes."""
    return settings.AGENTAPP_HOME


def lease_s() -> float:
    """How long a claim holds without a heartbeat, in seconds."""
    return settings.AGENTAPP_LEASE_S


def statement_timeout_s() -> float | None:
    """How long one statement of this process may take, in seconds; 0 = no limit, None = that of its class."""
    return settings.AGENTAPP_STATEMENT_TIMEOUT_S


def db_pool_max() -> int:
    """Most connections that this process may hold; 0 = one for each thread."""
    return settings.AGENTAPP_DB_POOL_MAX


def lock_timeout_s() -> float | None:
    """How long a statement of this process waits for a lock, in seconds; 0 = no limit, None = that of its class."""
    return settings.AGENTAPP_LOCK_TIMEOUT_S


def replica_lacks_nothing() -> bool:
    """Whether a replica that is promoted has every commit that was confirmed."""
    return settings.AGENTAPP_REPLICA_LACKS_NOTHING


def replica_lag_s() -> float:
    """How late a replica may be that lists and figures are read from, in seconds."""
    return settings.AGENTAPP_REPLICA_LAG_S


def heartbeat_s() -> float:
    """How often a worker process renews its leases, in seconds."""
    return settings.AGENTAPP_HEARTBEAT_S


def drain_s() -> float:
    """How long bodies may go on after SIGTERM before their jobs are handed back, in seconds."""
    return settings.AGENTAPP_DRAIN_S


def alive_file() -> str:
    """The file that this process writes while it lives; empty = none."""
    return settings.AGENTAPP_ALIVE_FILE


def child_memory_mb() -> int:
    """The address space of a pool child, in megabytes; 0 = no limit."""
    return settings.AGENTAPP_CHILD_MEMORY_MB


def failpoints() -> str:
    """The folder of armed failpoints; empty = off."""
    return settings.AGENTAPP_FAILPOINTS


def duties_off() -> list[str]:
    """Duties that the dispatcher leaves undone, for tests of the tests."""
    return settings.AGENTAPP_DUTIES_OFF


def in_place_budget_s() -> float:
    """How long one message may go on with the next jobs of its workflow before it gives the slot back, in seconds."""
    return settings.AGENTAPP_IN_PLACE_BUDGET_S


def dispatch_tick_s() -> float:
    """The longest sleep of the dispatcher, in seconds."""
    return settings.AGENTAPP_DISPATCH_TICK_S


def keep_completed_days() -> int:
    """How long a completed task is kept, in days; 0 is forever."""
    return settings.AGENTAPP_KEEP_COMPLETED_DAYS


def keep_cancelled_days() -> int:
    """How long a cancelled task is kept, in days; 0 is forever."""
    return settings.AGENTAPP_KEEP_CANCELLED_DAYS


def keep_failed_days() -> int:
    """How long a failed task is kept, in days; 0 is forever."""
    return settings.AGENTAPP_KEEP_FAILED_DAYS


def kept_call_characters() -> int:
    """How much is kept of the prompt and of the answer of a model call, in characters; 0 keeps none."""
    return settings.AGENTAPP_KEPT_CALL_CHARACTERS


def keep_audit_days() -> int:
    """How long entries of the audit chain are kept, in days; 0 is forever."""
    return settings.AGENTAPP_KEEP_AUDIT_DAYS


def max_input_bytes() -> int:
    """The largest input of a task as JSON, in bytes."""
    return settings.AGENTAPP_MAX_INPUT_BYTES


def max_payload_bytes() -> int:
    """The largest payload of a job, in bytes."""
    return settings.AGENTAPP_MAX_PAYLOAD_BYTES


def max_output_bytes() -> int:
    """The largest output or checkpoint of a job as JSON, in bytes."""
    return settings.AGENTAPP_MAX_OUTPUT_BYTES


def compact_at_tokens() -> int:
    """When so many tokens would be told to the model of an agent, its conversation is summarized; 0 = never."""
    return settings.AGENTAPP_COMPACT_AT_TOKENS


def fan_out_max_parts() -> int:
    """The most parts of one fan-out."""
    return settings.AGENTAPP_FAN_OUT_MAX_PARTS


def model_name() -> str:
    """The model that is asked when nothing else is said."""
    return settings.AGENTAPP_MODEL


def embedding_model() -> str:
    """The model that turns texts into vectors; empty without one."""
    return settings.AGENTAPP_EMBEDDING_MODEL


def send_hold_s() -> float:
    """For how long an approved mail is held, so that its approval can be withdrawn, in seconds; 0 = not at all."""
    return settings.AGENTAPP_SEND_HOLD_S


def public_url() -> str:
    """The address at which people reach the admin, without a slash at its end; empty: not known."""
    return settings.AGENTAPP_PUBLIC_URL


def claim_minutes() -> int:
    """After how many minutes the claim of a person on an approval lapses."""
    return settings.AGENTAPP_CLAIM_MINUTES


def ageing_s() -> float:
    """After so long a wait for each class between it and urgent, a job is overdue, in seconds."""
    return settings.AGENTAPP_AGEING_S


def soft_mark() -> int:
    """When so many tasks wait to begin, new ones are accepted and told that they will be late."""
    return settings.AGENTAPP_SOFT_MARK_TASKS


def hard_mark() -> int:
    """When so many tasks wait to begin, new ones are refused."""
    return settings.AGENTAPP_HARD_MARK_TASKS


def tenant_mark() -> int:
    """When so many tasks of one tenant wait to begin, its new ones are refused; a gate may say otherwise."""
    return settings.AGENTAPP_TENANT_MARK_TASKS


def queue_target_s(queue: str) -> float:
    """How long a job should wait for a worker of this class at most, in seconds."""
    targets: Mapping[str, float] = settings.AGENTAPP_QUEUE_TARGETS_S
    return targets.get(queue, targets.get("*", 60.0))


def approval_target_s() -> float:
    """How long an approval should wait for a person at most, in seconds."""
    return settings.AGENTAPP_APPROVAL_TARGET_S


def trace_url() -> str:
    """The page of a trace, with {trace_id} where its id stands; empty where traces are shown nowhere."""
    return settings.AGENTAPP_TRACE_URL


def otlp_url() -> str:
    """Where spans are sent; empty = nowhere."""
    return settings.AGENTAPP_OTLP_URL


def metrics_tenants() -> int:
    """How many tenants /metrics may name."""
    return settings.AGENTAPP_METRICS_TENANTS


def model_timeout_s() -> float:
    """The longest wait for one model call, in seconds."""
    return settings.AGENTAPP_MODEL_TIMEOUT_S


def webhook_allowed_networks() -> list[IPv4Network | IPv6Network]:
    """The networks that webhooks may be sent to though they are not public."""
    return settings.AGENTAPP_WEBHOOK_ALLOWED_NETWORKS


def webhook_allows_http() -> bool:
    """Whether webhooks may be sent to public addresses without TLS."""
    return settings.AGENTAPP_WEBHOOK_ALLOW_HTTP


def upload_max_bytes() -> int:
    """The largest file that may be uploaded, in bytes."""
    return settings.AGENTAPP_UPLOAD_MAX_BYTES


def parse_memory_mb() -> int:
    """The address space of the process that reads one file, in megabytes."""
    return settings.AGENTAPP_PARSE_MEMORY_MB


def parse_cpu_s() -> int:
    """How long reading one file may keep a processor busy, in seconds."""
    return settings.AGENTAPP_PARSE_CPU_S


def parse_max_pages() -> int:
    """The most pages of a file that is read."""
    return settings.AGENTAPP_PARSE_MAX_PAGES


def model_allowed_networks() -> list[IPv4Network | IPv6Network]:
    """The networks in which the providers of model choices may be though they are not public."""
    return settings.AGENTAPP_MODEL_ALLOWED_NETWORKS


def http_endpoints() -> Mapping[str, Any]:
    """The addresses that the HTTP tools of agents may call, by name; see policies/http_endpoints.py."""
    return settings.AGENTAPP_HTTP_ENDPOINTS


def tool_commands() -> Mapping[str, Sequence[str]]:
    """The programs that may be tool servers, by name: each with its arguments."""
    return settings.AGENTAPP_TOOL_COMMANDS


def tool_allowed_networks() -> list[IPv4Network | IPv6Network]:
    """The networks in which tool servers may be though they are not public."""
    return settings.AGENTAPP_TOOL_ALLOWED_NETWORKS


def fetch_allowed_networks() -> list[IPv4Network | IPv6Network]:
    """The networks that agents may fetch pages from though they are not public."""
    return settings.AGENTAPP_FETCH_ALLOWED_NETWORKS
