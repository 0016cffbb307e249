"""Scopes: what a key may do, and what a worker class may touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

API_SCOPES = (
    "tasks:read",
    "tasks:write",
    "approvals:read",
    "approvals:decide",
    "documents:read",
    "documents:write",
    "memories:read",
    "memories:write",
    "dead_letters:write",
    "webhooks:read",
    "webhooks:write",
    "schedules:read",
    "schedules:write",
    # Tools of other servers that only read.
    "tools:read",
    # What an agent may do on behalf of a key, beyond reading.
    "tools:write",
)

# For operators. What they show and change concerns every tenant: no key that a tenant made itself holds them.
OPERATOR_SCOPES = (
    "gates:read", "gates:write", "models:read", "models:write", "tool_servers:read", "tool_servers:write",
    "approval_policies:read", "approval_policies:write",
)  # fmt: skip

# Of people alone, in one tenant: to see prompts, responses, inputs and outputs; to let colleagues in; to make keys; to
# see, and to say, how long tasks are kept and what a legal hold keeps.
PAYLOADS, PEOPLE, KEYS = "payloads:read", "people:write", "api_keys:write"
SEES_RETENTION, RETENTION = "retention:read", "retention:write"
PERSON_SCOPES = (PAYLOADS, PEOPLE, KEYS, SEES_RETENTION, RETENTION)

# A worker class is named like its queue. Its scopes are what the job types on that queue may ask for; the Procfile
# gives each process only the credentials of the classes that it serves.
WORKER_CLASS_SCOPES: dict[str, frozenset[str]] = {
    # Reads finished tasks to judge them again, or for facts about their customers.
    "model": frozenset({"model:call", "documents:read", "memories:read", "tasks:read"}),
    "documents": frozenset({"model:embed", "documents:read", "documents:write"}),
    # Reads for agents, also pages of the web, and keeps facts about customers. Asks for drafts to be written again.
    "retrieval": frozenset(
        {
            "model:embed",
            "documents:read",
            "drafts:refresh",
            "memories:read",
            "memories:write",
            "web:fetch",
        }
    ),
    # Calls addresses that an operator has named too, with the secrets of tools.
    "send": frozenset({"mail:send", "http:send"}),
    # Reaches addresses that tenants name, and nothing of ours.
    "webhooks": frozenset({"webhooks:send"}),
    # Calls the tools of MCP servers.
    "tools": frozenset({"tools:call"}),
}


def trouble(scopes: frozenset[str]) -> str:
    """Say what a worker class with these scopes must not hold together; empty where it may be.

    What calls models has read text of others, which may tell it anything: it must not reach the outside by itself, with
    a scope that sends, or with one of a package that writes or calls.
    """
    if not any(scope.startswith("model:") for scope in scopes):
        return ""
    outside = {scope for scope in scopes if _is_outside(scope)}
    return f"call models and send ({', '.join(sorted(outside))})" if outside else ""


def _is_outside(scope: str) -> bool:
    return scope.endswith((":send", ":write", ":call")) and not scope.startswith("model:") and scope not in API_SCOPES


# What a person needs of Django's permissions to hold a scope that changes something.
PERMISSION_OF_SCOPE = {
    "tasks:write": "agentapp.change_workflow",
    "approvals:decide": "agentapp.change_approval",
    "documents:write": "agentapp.change_document",
    "memories:write": "agentapp.change_memory",
    "dead_letters:write": "agentapp.change_job",
    "webhooks:write": "agentapp.change_webhookendpoint",
    "schedules:write": "agentapp.change_schedule",
    # Who may submit tasks may let them use tools: a person still approves what they write.
    "tools:write": "agentapp.change_workflow",
}


_READS = frozenset(scope for scope in API_SCOPES if scope.endswith(":read"))
_AGENT = _READS | {"approvals:decide"}
_OPERATOR = _AGENT | {
    "dead_letters:write", "documents:write", "memories:write", "schedules:write", "tasks:write", "tools:write",
    "webhooks:write", SEES_RETENTION,
}  # fmt: skip
# What a role may do in the tenant that a person holds it in, from the least to the most.
ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {"viewer": _READS, "agent": _AGENT, "operator": _OPERATOR, "administrator": _OPERATOR | {PEOPLE, KEYS, RETENTION}}
)
# Who decides on a text, or fixes what failed on one, must read it. Who only looks on need not.
SEES_PAYLOADS = MappingProxyType({"viewer": False, "agent": True, "operator": True, "administrator": True})


def scopes_of_member(has_permission: Callable[[str], bool], role: str, *, sees_payloads: bool) -> frozenset[str]:
    """Return the scopes of a member of a tenant. Without a role, which the release before wrote: to read all, and to
    change what Django's permissions say. A role that there is not allows nothing."""
    if not role:
        held = _READS | {scope for scope, needed in PERMISSION_OF_SCOPE.items() if has_permission(needed)}
    else:
        held = ROLES.get(role, frozenset())
    return held | {PAYLOADS} if held and sees_payloads else held


def missing(required: frozenset[str] | set[str], held: frozenset[str] | set[str] | list[str]) -> list[str]:
    """Return the scopes that are required and not held, sorted."""
    return sorted(set(required) - set(held))
