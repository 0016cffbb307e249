"""What a decision is about, and the bytes that it binds: one value, one hash, in every process. [G3]"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
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


def kind_of(content: Mapping[str, Any]) -> str:
    """Say what an approval of this content is about: tool_arguments, budget, mail or other. As moves.content_kind.

    What has a recipient is a mail: it is sent, and cannot be taken back.
    """
    named = {"calls": "tool_arguments", "budget": "budget", "to": "mail"}
    return next((kind for name, kind in named.items() if name in content), "other")


def is_mail(content: Mapping[str, Any]) -> bool:
    return kind_of(content) == "mail"


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
