"""On whose behalf a stream is open, and whether it still may be."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User

from agentapp.errors import PermissionDenied
from agentapp.lifecycle import tenant_context
from agentapp.models import ApiKey
from agentapp.policies.permissions import PAYLOADS
from agentapp.services import api_keys, principals
from agentapp.services.principals import Principal

SCOPE = "tasks:read"


@dataclass(frozen=True)
class Access:
    """A key or a person, by its id, that may read the tasks of these tenants; None means all."""

    tenant_ids: frozenset[int] | None
    key_id: int | None = None
    user_id: int | None = None


def of(principal: Principal) -> Access:
    return Access(
        _tenants(principal),
        principal.api_key.pk if principal.api_key else None,
        principal.user.pk if principal.user else None,
    )


def _tenants(principal: Principal) -> frozenset[int] | None:
    """A stream tells texts and results: of a person's tenants those whose payloads they may see."""
    return principal.tenant_ids if principal.user is None else principal.tenants_with(PAYLOADS)


def principal_of(*, key_id: int | None, user_id: int | None) -> Principal | None:
    """Return who an id stands for as it is now, None for one that may do nothing any longer."""
    if key_id is not None:
        key = ApiKey.objects.select_related("tenant").filter(pk=key_id).first()
        return principals.of_key(key) if key and _is_valid(key) else None
    user = User.objects.filter(pk=user_id or 0).first()
    return principals.of_user(user) if user else None


def lost(held: Collection[Access]) -> set[Access]:
    """Return those that may not read on: revoked, expired, suspended, or without the scope or one of the tenants."""
    key_ids = [item.key_id for item in held if item.key_id is not None]
    # Of all who follow something, whatever their tenants.
    with tenant_context.platform_rows():
        keys = ApiKey.objects.select_related("tenant").in_bulk(key_ids)
        users = User.objects.in_bulk([item.user_id for item in held if item.user_id is not None])
        return {item for item in held if not _may_read(item, keys.get(item.key_id or 0), users.get(item.user_id or 0))}


def tenants(held: Iterable[Access]) -> frozenset[int] | None:
    """Return the tenants that these may read, all together; None: all that there are."""
    each = {item.tenant_ids for item in held}
    return None if None in each else frozenset[int]().union(*(item or () for item in each))


def _may_read(item: Access, key: ApiKey | None, user: User | None) -> bool:
    if item.key_id is not None:
        return key is not None and _is_valid(key) and SCOPE in key.scopes
    if user is None:
        return False
    now = principals.of_user(user)
    if SCOPE not in now.scopes or item.tenant_ids is None:
        return SCOPE in now.scopes and now.tenant_ids is None
    held = _tenants(now)
    return held is None or item.tenant_ids <= held


def _is_valid(key: ApiKey) -> bool:
    try:
        api_keys.check_valid(key)
    except PermissionDenied:
        return False
    return True
