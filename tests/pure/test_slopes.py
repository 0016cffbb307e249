"""The rule by which `python -m bench.soak` says that a figure grows."""

from __future__ import annotations

import random

import pytest

from bench.slopes import judged, slope

MINUTE, FLOOR = 60.0, 1_000.0
BASE = 100_000.0


def samples(value_at: list[float]) -> list[tuple[float, float]]:
    return [(number * MINUTE, value) for number, value in enumerate(value_at)]


def test_a_slope_is_not_moved_by_outliers() -> None:
    line = [BASE + 5 * minute for minute in range(40)]
    line[7] = line[21] = 10 * BASE

    assert slope(samples(line)) * MINUTE == pytest.approx(5, rel=0.05)


def test_no_two_moments_are_flat() -> None:
    assert slope([]) == slope([(1.0, 5.0)]) == slope([(1.0, 5.0), (1.0, 9.0)]) == 0.0


@pytest.mark.parametrize(
    ("what", "grows"),
    [
        ([BASE] * 40, False),
        ([BASE + 200 * minute for minute in range(40)], True),
        ([BASE - 200 * minute for minute in range(40)], False),
        # Filled once, and full after half of the time.
        ([BASE + 400 * min(minute, 20) for minute in range(40)], False),
        # One step, such as a cache that is filled by the first request of its kind.
        ([BASE] * 25 + [BASE + 5_000] * 15, False),
        # Steps that go on.
        ([BASE + 4_000 * (minute // 8) for minute in range(40)], True),
        # Below the share of the median that is allowed.
        ([BASE + 40 * minute for minute in range(40)], False),
    ],
)
def test_what_goes_on_growing_is_found(what: list[float], *, grows: bool) -> None:
    noise = random.Random(1)
    assert judged(samples([value + noise.uniform(-300, 300) for value in what]), floor=FLOOR).grows is grows


def test_what_stays_below_its_floor_is_flat() -> None:
    few = [10 + minute / 10 for minute in range(40)]

    assert judged(samples(few), floor=1.0).grows
    assert not judged(samples(few), floor=4.0).grows
