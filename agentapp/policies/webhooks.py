"""Webhooks as rules: which events there are, how a delivery is signed, what an answer means. Pure.

The format is that of Standard Webhooks (https://www.standardwebhooks.com): the headers webhook-id, webhook-timestamp
and webhook-signature, and a secret that begins with whsec_.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from agentapp import ids
from agentapp.policies import moments
from agentapp.policies.retry import RetryPolicy

EVENTS = (
    "task.completed", "task.failed", "task.cancelled", "task.needs_attention", "task.notice",
    "approval.requested", "approval.reminded", "approval.escalated", "approval.decided",
)  # fmt: skip
# Sent on demand, to one endpoint; nobody subscribes to it.
TEST_EVENT = "webhook.test"

MINUTE_S, HOUR_S = 60.0, 3_600.0
# The first retry is for a receiver that was restarted, the last are for one that was down overnight: 31.6 hours in all.
RETRY = RetryPolicy(
    max_attempts=8,
    backoff_s=(5.0, 5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S, 5 * HOUR_S, 10 * HOUR_S, 14 * HOUR_S),
)
# An endpoint at which nothing has arrived for so long is disabled.
GIVEN_UP_AFTER = timedelta(days=5)
# For so long after a rotation the secret before it signs too.
OVERLAP = timedelta(hours=24)

_SECRET_BYTES = 32


class Verdict(Enum):
    """What an answer means for its delivery."""

    DELIVERED = "delivered"
    GONE = "gone"
    RETRY = "retry"


def judge(status: int) -> Verdict:
    """Say what a status means: 2xx is delivered, 410 wants nothing more, all else may be different next time."""
    if 200 <= status <= 299:
        return Verdict.DELIVERED
    return Verdict.GONE if status == 410 else Verdict.RETRY


def wants(events: Sequence[str], type: str) -> bool:
    """Tell whether an endpoint with this filter is told of an event; an empty filter takes all."""
    return not events or type in events


def secret(service_key: str, *, purpose: str, salt: bytes, generation: int) -> bytes:
    """Derive a secret of 32 bytes from the service's own key, so that it is stored nowhere: HKDF (RFC 5869), SHA-256.

    `purpose` separates the secrets of endpoints from others that are made of the same key.
    """
    extracted = hmac.digest(salt, service_key.encode(), hashlib.sha256)
    info = f"agentapp webhooks {purpose} {generation}".encode()
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)[:_SECRET_BYTES]


def shown(secret: bytes) -> str:
    """Return a secret as its owner gets it: whsec_ and base64."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def message_id(event_id: UUID) -> str:
    """The webhook-id: the same for every attempt, every endpoint and every re-send of one event."""
    return f"msg_{event_id}"


def headers(secrets: Sequence[bytes], *, event_id: UUID, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt: its time, and one signature for each secret."""
    name, timestamp = message_id(event_id), str(at.timestamp()).partition(".")[0]
    signed = f"{name}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(each, signed, hashlib.sha256)).decode() for each in secrets)
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def payload(type: str, *, at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent: the event, its time (RFC 3339 in UTC), and the task as the API showed it."""
    return {"type": type, "timestamp": moments.written(at), "data": data}


def body(payload: Mapping[str, Any]) -> bytes:
    """Return a payload as the bytes that are signed and sent."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def derived_id(event_id: UUID, target: str) -> UUID:
    """Return the id of an event's delivery to a target: the same whenever it is asked for, and as old as the event."""
    return ids.derived(event_id.int >> 80, event_id.bytes, target.encode())
