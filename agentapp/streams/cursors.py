"""Places in the live list of all tasks, as a client keeps them: signed, because what they hold is read by Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.core import signing

from agentapp import clock
from agentapp.lifecycle.events_live import Position

_SALT = "agentapp.live"
# Tasks are kept for a day at least, so nothing that happened since has been deleted.
LONGEST_S = 86_400


def write(position: Position) -> str:
    """Return a position as text."""
    claims = [position.seen, position.until, position.key, clock.now().timestamp()]
    return signing.Signer(salt=_SALT).sign_object(claims)


def read(text: str) -> Position | None:
    """Return the position, None where it is none of ours or too old."""
    try:
        seen, until, key, moment = signing.Signer(salt=_SALT).unsign_object(text)
    except signing.BadSignature:
        return None
    if datetime.fromtimestamp(moment, UTC) < clock.now() - timedelta(seconds=LONGEST_S):
        return None
    return Position(seen, until, tuple(key) if key else None)
