"""Durations as counts between bounds, which can be added up: percentiles of an hour or a week are read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

# In seconds. A count stands for durations from one bound up to the next; the first is for what is shorter than all.
BOUNDS_S = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
    14_400.0, 86_400.0,
)  # fmt: skip


def listed(counts: Mapping[int, int]) -> list[int]:
    """Counts by number of the bound as a list without zeros at its end."""
    return [counts.get(number, 0) for number in range(max(counts) + 1)] if counts else []


def added(some: Sequence[int], others: Sequence[int]) -> list[int]:
    """Both counts together."""
    return [one + other for one, other in zip_longest(some, others, fillvalue=0)]


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The duration that a share (0.5, 0.95) of all does not exceed, in seconds; None of nothing.

    It lies between two bounds in proportion to the counts; what is longer than the last bound counts as that one.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    passed = 0
    for number, count in enumerate(counts):
        if count and passed + count >= wanted:
            if number >= len(BOUNDS_S):
                break
            low = BOUNDS_S[number - 1] if number else 0.0
            return low + (BOUNDS_S[number] - low) * (wanted - passed) / count
        passed += count
    return BOUNDS_S[-1]
