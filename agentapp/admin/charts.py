"""Lines over time as the server draws them, each with the same numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH_PX, HEIGHT_PX = 360.0, 96.0
# Room for half a line at the upper and lower edge.
_EDGE_PX = 4.0

Values = Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """A value for each step; None where nothing was measured, which is a gap and no zero."""

    name: str
    values: Values


@dataclass(frozen=True)
class Chart:
    """`words` says a value in words. All lines share one scale, which begins at 0."""

    name: str
    title: str
    lines: tuple[Line, ...]
    steps: Sequence[datetime]
    words: Callable[[float], str]

    width = WIDTH_PX
    height = HEIGHT_PX

    @property
    def top(self) -> float:
        """The largest value; 1 where there is none, so that nothing lies at the bottom."""
        return max((value for line in self.lines for value in line.values if value is not None), default=0.0) or 1.0

    @property
    def is_empty(self) -> bool:
        return all(value is None for line in self.lines for value in line.values)

    @property
    def drawn(self) -> list[tuple[str, int, str]]:
        """Of each line its name, its number and its path."""
        return [(line.name, number, self._path(line.values)) for number, line in enumerate(self.lines, start=1)]

    def _path(self, values: Values) -> str:
        apart = WIDTH_PX / max(1, len(values) - 1)
        scale = (HEIGHT_PX - 2 * _EDGE_PX) / self.top
        parts, pen = [], "M"
        for number, value in enumerate(values):
            if value is None:
                pen = "M"
                continue
            # A point that stands alone is a dot: its line ends are round.
            alone = pen == "M" and (number + 1 == len(values) or values[number + 1] is None)
            parts.append(
                f"{pen}{number * apart:.1f} {HEIGHT_PX - _EDGE_PX - value * scale:.1f}" + ("h.01" if alone else "")
            )
            pen = "L"
        return "".join(parts)

    @property
    def most(self) -> str:
        return self.words(self.top) if not self.is_empty else ""

    @property
    def summary(self) -> str:
        """The picture in a sentence."""
        if self.is_empty:
            return f"{self.title}: nothing was measured"
        told = []
        for line in self.lines:
            known = [value for value in line.values if value is not None]
            if known:
                told.append(f"{line.name} last {self.words(known[-1])}, at most {self.words(max(known))}")
        return f"{self.title}: {'; '.join(told)}"

    @property
    def rows(self) -> list[tuple[datetime, list[str]]]:
        """The table: each step in which anything was measured, the newest first."""
        found = []
        for number in reversed(range(len(self.steps))):
            values = [line.values[number] for line in self.lines]
            if any(value is not None for value in values):
                found.append((self.steps[number], ["-" if value is None else self.words(value) for value in values]))
        return found
