"""What a local stack starts with: a tenant, two API keys with different rights, and an administrator."""

from __future__ import annotations

from pathlib import Path

from django.contrib.auth import get_user_model

from agentapp.local import credentials
from agentapp.models import ApiKey, Tenant
from agentapp.services import api_keys, tenants

TENANT = "demo"
# Two keys, because a submitter must not be able to approve.
SCOPES = {
    "api_key": [
        "tasks:write",
        "tasks:read",
        "documents:write",
        "documents:read",
        "memories:write",
        "memories:read",
        "approvals:read",
        "schedules:read",
        "schedules:write",
        "tools:write",
    ],
    "approver_api_key": ["approvals:read", "approvals:decide", "tasks:read"],
}
_NAMES = {"api_key": "local submitter", "approver_api_key": "local approver"}


def ensure(home: Path) -> None:
    """Make what is missing in the database, and write new keys to the home's credentials."""
    kept = credentials.load(home)
    tenant = Tenant.objects.filter(slug=TENANT).first() or tenants.create(slug=TENANT, name="Demo")
    for name, scopes in SCOPES.items():
        # The database may be another than the one the kept key was made in.
        if not ApiKey.objects.filter(pk=kept.get(f"{name}_id", "0")).exists():
            key, secret = api_keys.create(tenant=tenant, name=_NAMES[name], scopes=scopes)
            kept |= {name: secret, f"{name}_id": str(key.pk)}
    credentials.save(home, kept)
    _ensure_administrator(kept["admin_user"], kept["admin_password"])


def _ensure_administrator(name: str, password: str) -> None:
    users = get_user_model()
    user, made = users.objects.get_or_create(username=name, defaults={"is_staff": True, "is_superuser": True})
    if made or not user.check_password(password):
        user.set_password(password)
        user.save()
