"""Keys of fixtures, of whose making the records of a test say nothing."""

from __future__ import annotations

from typing import Any

from agentapp.models import ApiKey, AuditEntry, GateChange, Tenant
from agentapp.services import api_keys


def key(tenant: Tenant, *scopes: str, name: str = "test", **values: Any) -> tuple[ApiKey, str]:
    """Make a key, as `api_keys.create`, and take the record of it away."""
    made, token = api_keys.create(tenant=tenant, name=name, scopes=list(scopes), **values)
    target = f"key {made.prefix} in {tenant.slug}"
    GateChange.objects.filter(target=target).delete()
    AuditEntry.objects.filter(target=target).delete()
    return made, token
