"""A time axis that stays readable when a run works for seconds and waits for days."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

Interval = tuple[float, float]

# A stretch without work is cut when it is longer than all work together, and longer than this.
MIN_CUT_S = 1.0
CUT_PX = 64.0
_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800, 43200, 86400)
_TICK_PX = 80.0


@dataclass(frozen=True)
class Piece:
    """A stretch of the axis: seconds since the start of the run, mapped to pixels in a straight line."""

    start_s: float
    end_s: float
    x: float
    width: float
    cut: bool

    def at(self, moment_s: float) -> float:
        if self.end_s <= self.start_s:
            return self.x
        share = (moment_s - self.start_s) / (self.end_s - self.start_s)
        return self.x + self.width * min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class TimeScale:
    """Maps seconds since the start of a run to pixels from the left edge of the plot."""

    pieces: tuple[Piece, ...]

    def x(self, moment_s: float) -> float:
        starts = [piece.start_s for piece in self.pieces]
        return self.pieces[max(bisect_right(starts, moment_s) - 1, 0)].at(moment_s)

    @property
    def cuts(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.cut]

    def ticks(self) -> list[float]:
        """Moments worth a label, in seconds: round ones, never closer than a label is wide."""
        moments: list[float] = []
        for piece in self.pieces:
            if not piece.cut:
                moments += _round_moments(piece)
        kept: list[float] = []
        for moment in moments:
            x = self.x(moment)
            room = not kept or x - self.x(kept[-1]) >= _TICK_PX
            if room and all(not cut.x - _TICK_PX / 3 < x < cut.x + cut.width + _TICK_PX / 3 for cut in self.cuts):
                kept.append(moment)
        return kept


def scale(busy: Iterable[Interval], *, end_s: float, width: float) -> TimeScale:
    """Build the axis from 0 to `end_s` seconds on `width` pixels; `busy` are the intervals in which work was done."""
    end_s = max(end_s, 0.001)
    work = _merge(busy, end_s)
    worked_s = sum(end - start for start, end in work)
    cut_from_s = max(worked_s, MIN_CUT_S)
    edges = _pieces(work, end_s, cut_from_s)
    cuts = sum(1 for _, _, cut in edges if cut)
    if cuts == len(edges):  # the work took no time that could be measured
        return TimeScale((Piece(0.0, end_s, 0.0, width, False),))
    cut_px = min(CUT_PX, width / 2 / cuts) if cuts else 0.0
    straight_s = sum(end - start for start, end, cut in edges if not cut)
    straight_px = width - cuts * cut_px
    pieces: list[Piece] = []
    x = 0.0
    for start, end, cut in edges:
        size = cut_px if cut else straight_px * (end - start) / straight_s
        pieces.append(Piece(start, end, x, size, cut))
        x += size
    return TimeScale(tuple(pieces))


def _merge(busy: Iterable[Interval], end_s: float) -> list[Interval]:
    merged: list[Interval] = []
    for start, end in sorted((max(start, 0.0), min(end, end_s)) for start, end in busy):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end >= start:
            merged.append((start, end))
    return merged


def _pieces(work: list[Interval], end_s: float, cut_from_s: float) -> list[tuple[float, float, bool]]:
    """Cover 0..end_s with stretches; short gaps join the straight stretch around them."""
    if not work:
        return [(0.0, end_s, False)]
    edges: list[tuple[float, float, bool]] = []
    begin = position = 0.0
    for start, end in [*work, (end_s, end_s)]:
        if start - position > cut_from_s:
            if position > begin:
                edges.append((begin, position, False))
            edges.append((position, start, True))
            begin = start
        position = max(position, end)
    if position > begin or not edges:
        edges.append((begin, position, False))
    return edges


def _round_moments(piece: Piece) -> list[float]:
    length_s = piece.end_s - piece.start_s
    if length_s <= 0 or piece.width < _TICK_PX:
        return [piece.start_s]
    wanted_s = length_s * _TICK_PX / piece.width
    step_s = next((step for step in _STEPS_S if step >= wanted_s), _STEPS_S[-1])
    first = int(piece.start_s / step_s) + (1 if piece.start_s else 0)
    return [number * step_s for number in range(first, min(int(piece.end_s / step_s), first + 40) + 1)]
