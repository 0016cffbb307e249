"""Tokens that open streams, for browsers: EventSource and WebSocket cannot send a header with a key.

A token is signed, and names who may read and what; nothing is stored. Whether its key or its person still may is looked
at when it is used, so it dies with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.core import signing

from agentapp import clock
from agentapp.services.api_keys import BadKey
from agentapp.services.principals import Principal
from agentapp.streams import access

# An address stands in logs and histories: what is found there must be worth nothing soon.
LIFE_S = 300
_SALT = "agentapp.stream"
# Far longer than one of ours.
LONGEST = 1_000


@dataclass(frozen=True)
class Token:
    """Who reads; `task` alone where it is not None, else all that they may see."""

    principal: Principal
    task: UUID | None


def issue(principal: Principal, *, task: UUID | None) -> tuple[str, datetime]:
    """Return a token and when it ends. Raises PermissionDenied when the principal may not read tasks."""
    principal.require(access.SCOPE)
    held = access.of(principal)
    ends_at = clock.now() + timedelta(seconds=LIFE_S)
    claims = {"k": held.key_id, "u": held.user_id, "t": str(task) if task else None, "e": ends_at.timestamp()}
    return signing.Signer(salt=_SALT).sign_object(claims), ends_at


def read(text: str) -> Token:
    """Return what a token stands for.

    Raises:
        BadKey: it is not one of ours, has ended, or its key or person may do nothing any longer.
    """
    try:
        claims = signing.Signer(salt=_SALT).unsign_object(text[:LONGEST])
    except signing.BadSignature:
        raise BadKey("This is not a stream token of this service. Get one from POST /stream-tokens.") from None
    if datetime.fromtimestamp(claims["e"], UTC) <= clock.now():
        raise BadKey("The stream token has ended. Get a new one from POST /stream-tokens.")
    principal = access.principal_of(key_id=claims["k"], user_id=claims["u"])
    if principal is None:
        raise BadKey("The key of this stream token is revoked, has expired, or belongs to a suspended tenant.")
    return Token(principal, UUID(claims["t"]) if claims["t"] else None)
