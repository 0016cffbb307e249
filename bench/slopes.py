"""Whether a figure grows: its slope after Theil and Sen, the median of the slopes between every two samples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

Point = tuple[float, float]

# What is filled once, such as caches, is not held against a process: the first quarter is left out.
WARM_UP = 0.25
# A figure that gets larger by no more than this part of its median, or than its floor, is flat.
ALLOWED = 0.02
RULE = (
    f"The first {WARM_UP:.0%} of the samples are left out. A figure grows when its slope (Theil-Sen), and that of the "
    f"second half alone, times the minutes that are left, come to more than {ALLOWED:.0%} of its median and more than "
    "its floor."
)


@dataclass(frozen=True)
class Judged:
    """The median of a figure, its slopes for an hour, of all samples and of the later half, and whether it grows."""

    median: float
    per_hour: float
    late_per_hour: float
    grows: bool


def slope(points: Sequence[Point]) -> float:
    """Return the median slope between every two points; 0 where there are no two of different moments."""
    slopes = [(y - x) / (after - before) for (before, x), (after, y) in combinations(points, 2) if after != before]
    return statistics.median(slopes) if slopes else 0.0


def judged(points: Sequence[Point], *, floor: float) -> Judged:
    """Judge a figure by samples of (seconds, value) in the order of time; see RULE."""
    measured = points[int(len(points) * WARM_UP) :]
    median = statistics.median(value for _, value in measured)
    lasted_s = measured[-1][0] - measured[0][0]
    whole, late = slope(measured), slope(measured[len(measured) // 2 :])
    allowed = max(floor, ALLOWED * abs(median))
    return Judged(median, whole * 3600, late * 3600, grows=min(whole, late) * lasted_s > allowed)
