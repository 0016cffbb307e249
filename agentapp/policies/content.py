"""The bytes that a decision binds: one value, one hash, in every process. [G3]"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_sha256(value: Any) -> str:
    """Return the hash of a JSON value as 64 hexadecimal digits.

    It is taken over the value's canonical text: keys sorted, no spaces, UTF-8 without escapes. Two values that are
    equal as JSON objects have the same hash, and one changed byte in one of their texts gives another.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
