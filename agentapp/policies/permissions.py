"""Scopes: what a key may do, and what a worker class may touch."""

from __future__ import annotations

API_SCOPES = (
    "tasks:read",
    "tasks:write",
    "approvals:read",
    "approvals:decide",
    "documents:read",
    "documents:write",
    "dead_letters:write",
    "webhooks:read",
    "webhooks:write",
    "schedules:read",
    "schedules:write",
)

# For operators. What they show and change concerns every tenant: no key that a tenant made itself holds them.
OPERATOR_SCOPES = ("gates:read", "gates:write")

# A worker class is named like its queue. Its scopes are what the job types on that queue may ask for; the Procfile
# gives each process only the credentials of the classes that it serves.
WORKER_CLASS_SCOPES: dict[str, frozenset[str]] = {
    "model": frozenset({"model:call", "documents:read"}),
    "retrieval": frozenset({"model:embed", "documents:read"}),
    "documents": frozenset({"model:embed", "documents:read", "documents:write"}),
    "send": frozenset({"mail:send"}),
    # Reaches addresses that tenants name, and nothing of ours.
    "webhooks": frozenset({"webhooks:send"}),
}


def missing(required: frozenset[str] | set[str], held: frozenset[str] | set[str] | list[str]) -> list[str]:
    """Return the scopes that are required and not held, sorted."""
    return sorted(set(required) - set(held))
