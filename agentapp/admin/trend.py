"""The last hours of a group of dead letters as bars of an SVG, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from agentapp.admin import cells
from agentapp.services.letter_groups import Group

BAR_PX, GAP_PX, HEIGHT_PX = 5, 1, 24


@dataclass(frozen=True)
class Bar:
    """One hour; pixels."""

    x: int
    y: int
    height: int
    hour: str
    count: int


@dataclass(frozen=True)
class Trend:
    """What templates/agentapp/trend.html draws. `words` says the same as numbers."""

    bars: list[Bar]
    words: str
    width: int
    height: int = HEIGHT_PX
    bar_px: int = BAR_PX


def of(group: Group) -> Trend:
    """Draw how many of a group failed in each of the last 24 hours."""
    most = max(group.hours)
    bars = []
    for number, count in enumerate(group.hours):
        # Two pixels at least: one failure must not vanish beside a thousand.
        height = max(round(HEIGHT_PX * count / most), 2) if count else 0
        hour = cells.exact(group.since + timedelta(hours=number))
        bars.append(Bar(number * (BAR_PX + GAP_PX), HEIGHT_PX - height, height, hour, count))
    return Trend(bars, _words(group), len(bars) * (BAR_PX + GAP_PX) - GAP_PX)


def _words(group: Group) -> str:
    total = sum(group.hours)
    if not total:
        return "none in 24 h"
    return f"{total:,} in 24 h, {group.hours[-1]:,} this hour"
