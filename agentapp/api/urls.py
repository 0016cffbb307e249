"""The addresses of the API. Each works with and without a slash at its end."""

from __future__ import annotations

import re

from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from agentapp.api import (
    approval_policies,
    approvals,
    artifacts,
    cancellations,
    dead_letters,
    documents,
    events,
    fallback,
    gates,
    keys,
    kinds,
    limits,
    memories,
    messages,
    metrics,
    model_choices,
    openapi,
    probes,
    replies,
    schedules,
    streams,
    tasks,
    tool_servers,
    webhooks,
)
from agentapp.api.endpoint import Endpoint
from agentapp.mcp_server.endpoint import Mcp

# What its methods need and give is said by each endpoint's own docstring.
ADDRESSES: dict[str, type[Endpoint]] = {
    "keys/self": keys.OwnKey,
    "keys/self/rotate": keys.RotateOwnKey,
    "kinds": kinds.Kinds,
    "kinds/{kind}": kinds.OneKind,
    "tasks": tasks.Tasks,
    # Before those of one task, which no id of one is.
    "tasks/cancel": cancellations.CancelTasks,
    "tasks/{task_id}": tasks.Task,
    "tasks/{task_id}/jobs": tasks.TaskJobs,
    "tasks/{task_id}/events": events.TaskEvents,
    "tasks/{task_id}/artifacts": artifacts.TaskArtifacts,
    "tasks/{task_id}/cancel": tasks.CancelTask,
    "tasks/{task_id}/fork": tasks.ForkTask,
    "tasks/{task_id}/messages": messages.TaskMessages,
    "tasks/{task_id}/replies": replies.TaskReplies,
    "tasks/{task_id}/stream": streams.TaskStream,
    "tasks/{task_id}/ws": streams.TaskSocket,
    "stream": streams.ListStream,
    "stream-tokens": streams.StreamTokens,
    "jobs/{job_id}": tasks.OneJob,
    "artifacts/{artifact_id}": artifacts.OneArtifact,
    "approvals": approvals.Approvals,
    "approvals/{approval_id}": approvals.OneApproval,
    "approvals/{approval_id}/decision": approvals.Decision,
    "approvals/{approval_id}/claim": approvals.Claim,
    "approvals/{approval_id}/release": approvals.Release,
    "approvals/{approval_id}/snooze": approvals.Snooze,
    "approvals/{approval_id}/withdraw": approvals.Withdrawal,
    "documents": documents.Documents,
    "documents/{document_id}": documents.OneDocument,
    "memories": memories.Memories,
    # Before those of one memory, which no id of one is.
    "memories/erase": memories.EraseAbout,
    "memories/{memory_id}": memories.OneMemory,
    "dead-letters": dead_letters.DeadLetters,
    "dead-letters/groups": dead_letters.Groups,
    "dead-letters/replay": dead_letters.ReplayAll,
    "dead-letters/{job_id}/replay": dead_letters.Replay,
    "dead-letters/{job_id}/resolve": dead_letters.Resolve,
    "dead-letters/{job_id}/cancel": dead_letters.CancelDeadLetter,
    "dead-letters/{job_id}/notify": dead_letters.Notify,
    "task-cancellations": cancellations.BulkCancellations,
    "task-cancellations/{cancellation_id}": cancellations.OneBulkCancellation,
    "task-cancellations/{cancellation_id}/abort": cancellations.AbortBulkCancellation,
    "dead-letter-replays": dead_letters.BulkReplays,
    "dead-letter-replays/{bulk_id}": dead_letters.OneBulkReplay,
    "dead-letter-replays/{bulk_id}/abort": dead_letters.AbortBulkReplay,
    "gates": gates.Gates,
    "gates/{gate_id}": gates.OneGate,
    "gate-changes": gates.GateChanges,
    "approval-policies": approval_policies.ApprovalPolicies,
    "approval-policies/{policy_id}": approval_policies.OneApprovalPolicy,
    "model-choices": model_choices.ModelChoices,
    "model-choices/{choice_id}": model_choices.OneModelChoice,
    "tool-servers": tool_servers.ToolServers,
    "tool-servers/{server_id}": tool_servers.OneToolServer,
    "tool-servers/{server_id}/refresh": tool_servers.RefreshToolServer,
    "tool-servers/{server_id}/tools": tool_servers.ServerTools,
    "tool-servers/{server_id}/tools/{tool_id}": tool_servers.OneServerTool,
    "limits": limits.Limits,
    "limits/{scope}/{name}/pause": limits.Pause,
    "limits/{scope}/{name}/drain": limits.Drain,
    "limits/{scope}/{name}/resume": limits.Resume,
    "queues": limits.Queues,
    "schedules": schedules.Schedules,
    "schedules/{schedule_id}": schedules.OneSchedule,
    "schedules/{schedule_id}/run": schedules.RunSchedule,
    "schedules/{schedule_id}/runs": schedules.ScheduleRuns,
    "webhook-endpoints": webhooks.WebhookEndpoints,
    # Before those of one endpoint, whose id it is not.
    "webhook-endpoints/callback-secret": webhooks.CallbackSecret,
    "webhook-endpoints/{endpoint_id}": webhooks.OneWebhookEndpoint,
    "webhook-endpoints/{endpoint_id}/rotate": webhooks.RotateWebhookSecret,
    "webhook-endpoints/{endpoint_id}/test": webhooks.TestWebhookEndpoint,
    "webhook-endpoints/{endpoint_id}/deliveries": webhooks.DeliveriesOfEndpoint,
    "webhook-deliveries": webhooks.WebhookDeliveries,
    "webhook-deliveries/{delivery_id}": webhooks.OneWebhookDelivery,
    "webhook-deliveries/{delivery_id}/resend": webhooks.ResendWebhook,
    "schema": openapi.OpenApi,
    "problems": probes.Problems,
    "problems/{slug}": probes.OneProblem,
    "healthz": probes.Health,
    "readyz": probes.Readiness,
}

# The name of a model may hold slashes.
_ANYTHING = "{name}"


def _pattern(address: str, endpoint: type[Endpoint]) -> URLPattern:
    expression = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", address.replace(_ANYTHING, "(?P<name>.+)"))
    return re_path(rf"^{expression}/?$", endpoint.as_view(), name=endpoint.__name__)


_NOUNS = "|".join(sorted({address.partition("/")[0] for address in ADDRESSES}))

urlpatterns = [
    *(_pattern(address, endpoint) for address, endpoint in ADDRESSES.items()),
    # Another protocol, which describes itself.
    _pattern("mcp", Mcp),
    # Another format, whose names docs/metrics.md lists.
    _pattern("metrics", metrics.Metrics),
    # No cookie opens anything here; without this a POST would be answered with a page about a missing CSRF token.
    re_path(rf"^(?:{_NOUNS})(?:/|$)", csrf_exempt(fallback.Nowhere.as_view())),
]
