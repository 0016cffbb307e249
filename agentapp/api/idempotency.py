"""The header Idempotency-Key: a request that is sent twice is done once. [A6]

After the IETF draft of that name: the value is a string of structured fields, in quotes; without them it is taken too.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from rest_framework.request import Request

from agentapp.api.problems import Problem
from agentapp.lifecycle.submit import NamedRequest

HEADER = "Idempotency-Key"
# The header of an answer that repeats an earlier one.
REPLAYED = "Idempotency-Replayed"
LONGEST = 255


def named(request: Request, wanted: Any) -> NamedRequest | None:
    """Return the name of a request whose body was read as `wanted`; None where the client gives it none.

    Raises:
        Problem: 400, the header holds no name.
    """
    sent = request.headers.get(HEADER)
    if sent is None:
        return None
    key = sent.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    return name(key, of=wanted, method=str(request.method), path=request.path, noun=HEADER)


def name(key: str, *, of: Any, method: str, path: str, noun: str) -> NamedRequest:
    """Return the name `key` of a request with the body `of`; `noun` is what the client knows the key by.

    Raises:
        Problem: 400, the key is no name.
    """
    if not 0 < len(key) <= LONGEST or not all(" " <= character <= "~" for character in key):
        sentence = f"Give {noun} 1 to {LONGEST} printable ASCII characters, such as a UUID."
        raise Problem("bad-request", sentence)
    asked = [method, path.rstrip("/"), of.model_dump(mode="json")]
    return NamedRequest(key, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())
