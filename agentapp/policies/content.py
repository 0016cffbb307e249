"""The bytes that a decision binds: one value, one hash, in every process. [G3]"""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any


def canonical_sha256(value: Any) -> str:
    """Return the hash of a JSON value as 64 hexadecimal digits.

    It is taken over the value's canonical text: keys sorted, no spaces, UTF-8 without escapes. Two values that are
    equal as JSON objects have the same hash, and one changed byte in one of their texts gives another. A value has the
    same hash before it is stored and after it was read again.
    """
    text = _canonical(value)
    if "e+" in text or "-0.0" in text:
        text = _canonical(_as_stored(value))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _as_stored(value: Any) -> Any:
    """Return a value as Postgres gives it back: it writes large numbers without an exponent, and knows no -0.0."""
    if isinstance(value, dict):
        return {name: _as_stored(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_stored(item) for item in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return json.loads(f"{Decimal(repr(value)):f}") if "e+" in repr(value) else value + 0.0
