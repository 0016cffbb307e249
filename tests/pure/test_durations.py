"""Percentiles are read from counts between bounds, which add up."""

from __future__ import annotations

from bisect import bisect_right

import pytest

from agentapp.policies import durations


def counts(*seconds: float) -> list[int]:
    """What `width_bucket` of Postgres makes of durations."""
    found: dict[int, int] = {}
    for value in seconds:
        number = bisect_right(durations.BOUNDS_S, value)
        found[number] = found.get(number, 0) + 1
    return durations.listed(found)


def test_of_nothing_there_is_no_percentile() -> None:
    assert durations.listed({}) == []
    assert durations.percentile([], 0.5) is None
    assert durations.percentile([0, 0], 0.95) is None


def test_a_percentile_lies_between_the_bounds_of_its_count() -> None:
    found = counts(*[0.3] * 50, *[7.0] * 50)

    assert durations.percentile(found, 0.5) == 0.5
    assert durations.percentile(found, 0.25) == pytest.approx(0.35)
    assert durations.percentile(found, 0.95) == pytest.approx(9.5)


def test_what_is_longer_than_all_bounds_counts_as_the_last() -> None:
    assert durations.percentile(counts(1_000_000.0), 0.5) == durations.BOUNDS_S[-1]
