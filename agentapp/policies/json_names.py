"""Names in JSON objects that programs and people sent us."""

from __future__ import annotations

from collections import Counter
from typing import Any


class NameTwice(ValueError):
    """An object gives one name twice: some readers take the first value, others the last."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Be the `object_pairs_hook` of json.loads. Raises NameTwice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise NameTwice(f"the name {twice[:100]!r} stands twice in one object; give it once")
    return found
