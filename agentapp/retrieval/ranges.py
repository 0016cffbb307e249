"""Sets of numbers as short texts: `1-3, 7`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agentapp.policies import bounds

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
# More than a task has parts: a text that was entered by hand must not fill the memory.
_LARGEST = 1_000_000


def written(numbers: Iterable[int]) -> str:
    """Write numbers in order, each once, neighbours as a range."""
    return ", ".join(f"{low}-{high}" if high > low else str(low) for low, high in _runs(sorted(set(numbers))))


def read(text: str) -> frozenset[int]:
    """Read what written() wrote; what is no range is left out."""
    found: set[int] = set()
    for part in text.split(","):
        if match := _RANGE.fullmatch(part.strip()):
            low = bounds.whole(match[1], most=_LARGEST)
            high = bounds.whole(match[2] or match[1], most=_LARGEST)
            if low is not None and high is not None:
                found.update(range(low, high + 1))
    return frozenset(found)


def _runs(ordered: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for place in range(1, len(ordered) + 1):
        if place == len(ordered) or ordered[place] != ordered[place - 1] + 1:
            yield ordered[start], ordered[place - 1]
            start = place
