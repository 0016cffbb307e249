"""How much of what was to be read has been read, and whether that is enough. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentapp.retrieval import ranges

Json = dict[str, Any]

# Of a failure: what of its message is shown.
LONGEST_REASON = 200
MOST_REASONS = 20


def needed(found: int, *, rule: str, share: float) -> int:
    """Return how many of `found` chunks a policy needs: `all`, or `at_least` a share of them, and one in any case."""
    # A share such as 0.95 of 100 is a hair more than 95 in binary.
    return found if rule == "all" else max(1, math.ceil(share * found - 1e-9))


@dataclass(frozen=True)
class Coverage:
    """`failed` has the reason of each chunk that was not summarized; `silent` chunks say nothing of what was asked."""

    found: int
    failed: Mapping[int, str]
    silent: frozenset[int]

    @property
    def summarized(self) -> int:
        return self.found - len(self.failed)

    def as_json(self) -> Json:
        return {
            "found": self.found,
            "summarized": self.summarized,
            "silent": ranges.written(self.silent),
            "failed": ranges.written(self.failed),
            "reasons": _reasons(self.failed),
        }


def _reasons(failed: Mapping[int, str]) -> list[Json]:
    """The reasons with the chunks that failed by each, the commonest first."""
    chunks: dict[str, list[int]] = {}
    for number, reason in failed.items():
        chunks.setdefault(reason[:LONGEST_REASON], []).append(number)
    ordered = sorted(chunks.items(), key=lambda item: (-len(item[1]), min(item[1])))
    return [{"reason": reason, "chunks": ranges.written(numbers)} for reason, numbers in ordered[:MOST_REASONS]]
