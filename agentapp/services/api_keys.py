"""Credentials of clients: `aa_<prefix>_<secret>`, of which only a hash of the secret is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from agentapp import clock
from agentapp.errors import IllegalMove, InvalidInput, PermissionDenied
from agentapp.lifecycle import audit, database, key_lookup
from agentapp.models import ApiKey, Tenant
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services.principals import COMMAND_LINE

_TOKEN = re.compile(r"aa_(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")
# Compared with when there is no such key, so that an unknown prefix takes as long as a wrong secret.
_NOBODY = "0" * 64
ALL_SCOPES = API_SCOPES + OPERATOR_SCOPES
# Webhooks tell the inputs and results of tasks.
NEED_PAYLOADS = frozenset({"approvals:decide", "dead_letters:write", "webhooks:write"})
USE_NOTED_EVERY = timedelta(minutes=1)
OVERLAP_S = 3_600
LONGEST_OVERLAP_S = 7 * 24 * 3_600
LONGEST_NAME = 200


class BadKey(PermissionDenied):
    """The credential itself is worth nothing: unknown, wrong, revoked or expired."""


def create(
    *, tenant: Tenant, name: str, scopes: list[str], expires_at: datetime | None = None, sees_payloads: bool = True,
    by: str = COMMAND_LINE,
) -> tuple[ApiKey, str]:  # fmt: skip
    """Make a key and return it with its token, which cannot be shown again.

    The caller has checked that the requester may give these scopes: operator scopes are for operators, and who may not
    see payloads makes no key that does.

    Raises:
        InvalidInput: a scope is unknown, there is none, or one needs to see payloads; the name is empty or too long.
    """
    if unknown := sorted(set(scopes) - set(ALL_SCOPES)):
        raise InvalidInput(f"There is no scope {', '.join(unknown)}. Choose from {', '.join(ALL_SCOPES)}.")
    if not scopes:
        raise InvalidInput(f"A key without scopes opens nothing. Choose from {', '.join(ALL_SCOPES)}.")
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise InvalidInput(f"Give the key a name of 1 to {LONGEST_NAME} characters that says who uses it.")
    if not sees_payloads and (unseen := sorted(NEED_PAYLOADS & set(scopes))):
        raise InvalidInput(f"This needs a key that sees payloads: {', '.join(unseen)}.")
    key = ApiKey(
        tenant=tenant, name=name.strip(), scopes=sorted(set(scopes)), expires_at=expires_at, sees_payloads=sees_payloads
    )
    token = _new_secret(key)
    with transaction.atomic():
        key.save()
        _note(key, "created", by, after={"name": key.name, "scopes": key.scopes, "sees_payloads": sees_payloads})
    return key, token


def _new_secret(key: ApiKey) -> str:
    """Give a key another prefix and secret; return its token."""
    # 32 random bytes: a slow hash would protect nothing that guessing could reach, and would cost every request.
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key.prefix, key.secret_sha256 = prefix, _sha256(secret)
    return f"aa_{prefix}_{secret}"


def authenticate(token: str) -> ApiKey:
    """Return the key that a token belongs to, with its tenant, by one SELECT.

    Raises:
        BadKey: the token is unknown, wrong, revoked or expired.
        PermissionDenied: its tenant is suspended.
    """
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        raise BadKey("This is not an API key: one looks like aa_<12 hex digits>_<43 characters>. Check your copy.")
    key = key_lookup.by_prefix(parts["prefix"])
    known = key.secret_sha256 if key else _NOBODY
    if not hmac.compare_digest(known, _sha256(parts["secret"])) or key is None:
        raise BadKey("This API key is not known here. Check that it is whole and made for this service.")
    # From here on the caller has proved to hold the key and may know what became of it.
    check_valid(key)
    _note_use(key)
    return key


def check_valid(key: ApiKey) -> None:
    """Check a key that was read with its tenant. Raises like `authenticate`."""
    if key.revoked_at is not None:
        raise BadKey(f"The API key {key.prefix} is revoked. Ask for a new one.")
    if key.expires_at is not None and key.expires_at <= clock.now():
        raise BadKey(f"The API key {key.prefix} has expired. Ask for a new one.")
    if key.tenant.suspended_at is not None:
        raise PermissionDenied(f"The tenant {key.tenant.slug} is suspended. Ask who runs the service.")


def _note_use(key: ApiKey) -> None:
    """Keep when a key was used, once a minute: most requests have no statement for it."""
    now = clock.now()
    due = now - USE_NOTED_EVERY
    if key.last_used_at is None or key.last_used_at <= due:
        # Where Postgres can only be read, reading goes on.
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT):
            rows = ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lte=due), pk=key.pk)
            rows.update(last_used_at=now)
            key.last_used_at = now


def revoke(key: ApiKey, *, by: str = COMMAND_LINE) -> None:
    """Make a key worthless from the next request on, with the secrets that it has replaced; the first revocation stays
    on record."""
    rows = ApiKey.objects.filter(Q(pk=key.pk) | Q(replaced_by=key.pk), revoked_at=None)
    with transaction.atomic():
        if rows.update(revoked_at=database.moment()):
            _note(key, "revoked", by)
    key.refresh_from_db(fields=["revoked_at"])


def rotate(key: ApiKey, *, overlap_s: int, by: str) -> tuple[ApiKey, str, ApiKey]:
    """Give a key a new secret; the old one opens for `overlap_s` seconds more, and no longer than the key would have.

    The row of the key gets the new secret, because its tasks go on with it. The old secret gets a row of its own, which
    is `replaced_by` that of the key. Who has lost the new token rotates again with the old one, until the new one was
    used.

    Returns the key, its new token, which cannot be shown again, and the row of the old secret.

    Raises:
        InvalidInput: overlap_s is negative or longer than a week.
        IllegalMove: it was replaced already, revoked, or has expired.
    """
    if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
        raise InvalidInput.at("overlap_s", f"This must be between 0 and {LONGEST_OVERLAP_S:,} seconds.")
    with transaction.atomic():
        lives = ApiKey.objects.select_for_update(no_key=True).get(pk=key.replaced_by_id or key.pk)
        old = _old_secret_of(lives, asked_with=key, ends_at=clock.now() + timedelta(seconds=overlap_s))
        token, born, is_known = _new_secret(lives), lives.created_at, old.pk is not None
        lives.created_at, lives.last_used_at = clock.now(), None
        lives.save(update_fields=["prefix", "secret_sha256", "created_at", "last_used_at"])
        old.save()
        if not is_known:
            # Django has put the present time there.
            old.created_at = born
            old.save(update_fields=["created_at"])
        _note(lives, "rotated", by, before={"prefix": old.prefix})
    events.emit("api_key.rotated", key=old.prefix, new=lives.prefix, by=by)
    return lives, token, old


def _old_secret_of(lives: ApiKey, *, asked_with: ApiKey, ends_at: datetime) -> ApiKey:
    """Return the row that keeps the secret which is to end."""
    if lives.revoked_at is not None or (lives.expires_at is not None and lives.expires_at <= clock.now()):
        raise IllegalMove(f"The API key {lives} opens nothing any more. Ask for a new one.")
    if asked_with.replaced_by_id is None and asked_with.prefix == lives.prefix:
        return ApiKey(
            tenant_id=lives.tenant_id, name=lives.name, prefix=lives.prefix, secret_sha256=lives.secret_sha256,
            scopes=lives.scopes, sees_payloads=lives.sees_payloads, last_used_at=lives.last_used_at, replaced_by=lives,
            expires_at=min(filter(None, (lives.expires_at, ends_at))),
        )  # fmt: skip
    if lives.last_used_at is not None or asked_with.replaced_by_id is None:
        raise IllegalMove(f"This key was replaced by {lives} already. Use that one.")
    return asked_with


def _note(key: ApiKey, action: str, by: str, **values: dict[str, Any]) -> None:
    audit.note(f"key {key.prefix} in {key.tenant.slug}", action, actor=by, reason=key.name, **values)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
