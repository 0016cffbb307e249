"""Credentials of clients: `aa_<prefix>_<secret>`, of which only a hash of the secret is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime

from agentapp import clock
from agentapp.errors import InvalidInput, PermissionDenied
from agentapp.lifecycle import database
from agentapp.models import ApiKey, Tenant
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES

_TOKEN = re.compile(r"aa_(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")
# Compared with when there is no such key, so that an unknown prefix takes as long as a wrong secret.
_NOBODY = "0" * 64
ALL_SCOPES = API_SCOPES + OPERATOR_SCOPES
LONGEST_NAME = 200


class BadKey(PermissionDenied):
    """The credential itself is worth nothing: unknown, wrong, revoked or expired."""


def create(*, tenant: Tenant, name: str, scopes: list[str], expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """Make a key and return it with its token, which cannot be shown again.

    The caller has checked that the requester may give these scopes: operator scopes are for operators.

    Raises:
        InvalidInput: a scope is unknown, there is none, or the name is empty or too long.
    """
    if unknown := sorted(set(scopes) - set(ALL_SCOPES)):
        raise InvalidInput(f"There is no scope {', '.join(unknown)}. Choose from {', '.join(ALL_SCOPES)}.")
    if not scopes:
        raise InvalidInput(f"A key without scopes opens nothing. Choose from {', '.join(ALL_SCOPES)}.")
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise InvalidInput(f"Give the key a name of 1 to {LONGEST_NAME} characters that says who uses it.")
    # 32 random bytes: a slow hash would protect nothing that guessing could reach, and would cost every request.
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        tenant=tenant,
        name=name.strip(),
        prefix=prefix,
        secret_sha256=_sha256(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
    )
    return key, f"aa_{prefix}_{secret}"


def authenticate(token: str) -> ApiKey:
    """Return the key that a token belongs to, with its tenant, by one SELECT.

    Raises:
        BadKey: the token is unknown, wrong, revoked or expired.
        PermissionDenied: its tenant is suspended.
    """
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        raise BadKey("This is not an API key: one looks like aa_<12 digits>_<43 characters>. Check what you copied.")
    key = ApiKey.objects.select_related("tenant").filter(prefix=parts["prefix"]).first()
    known = key.secret_sha256 if key else _NOBODY
    if not hmac.compare_digest(known, _sha256(parts["secret"])) or key is None:
        raise BadKey("This API key is not known here. Check that it is whole and made for this service.")
    # From here on the caller has proved to hold the key and may know what became of it.
    check_valid(key)
    return key


def check_valid(key: ApiKey) -> None:
    """Check a key that was read with its tenant. Raises like `authenticate`."""
    if key.revoked_at is not None:
        raise BadKey(f"The API key {key.prefix} is revoked. Ask for a new one.")
    if key.expires_at is not None and key.expires_at <= clock.now():
        raise BadKey(f"The API key {key.prefix} has expired. Ask for a new one.")
    if key.tenant.suspended_at is not None:
        raise PermissionDenied(f"The tenant {key.tenant.slug} is suspended. Ask who runs the service.")


def revoke(key: ApiKey) -> None:
    """Make a key worthless from the next request on; the first revocation stays on record."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=database.moment())
    key.refresh_from_db(fields=["revoked_at"])


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
