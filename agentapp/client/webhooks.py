"""Receive webhooks: tell whether a request comes from the service. After the specification of Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

PREFIX = "whsec_"
# A request that was recorded and is sent again later is refused.
TOLERANCE_S = 300


class BadSignature(Exception):
    """The request does not come from the service, was changed on its way, or is too old."""


def verify(content: bytes, headers: Mapping[str, str], secret: str, *, tolerance_s: float = TOLERANCE_S) -> Any:
    """Return the JSON of a webhook whose signature is right.

    `content` is the body as it came, byte for byte; `secret` is what the endpoint was created with (`whsec_...`). Of
    two deliveries with the same `webhook-id` header one is a repetition: it is for the receiver to do each once.

    Raises:
        BadSignature: answer with 400, and do nothing.
        ValueError: the secret is none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        name, moment = given["webhook-id"], int(given["webhook-timestamp"])
        signatures = given["webhook-signature"].split()
    except (KeyError, ValueError):
        raise BadSignature("A header of Standard Webhooks is missing or cannot be read.") from None
    if abs(time.time() - moment) > tolerance_s:
        raise BadSignature("The webhook is too old, or a clock is wrong.")
    signed = b".".join((name.encode(), str(moment).encode(), content))
    expected = base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()
    if not any(hmac.compare_digest(f"v1,{expected}".encode(), each.encode()) for each in signatures):
        raise BadSignature("No signature of the webhook fits.")
    return json.loads(content)


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"A secret looks like {PREFIX}..., as it was shown when the endpoint was created.") from None
