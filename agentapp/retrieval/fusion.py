"""Reciprocal rank fusion: one ranking out of several, by places alone, because their scores do not compare. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

# The constant of Cormack, Clarke and Buettcher (2009): it keeps one first place from outvoting two good ones.
K = 60

Item = TypeVar("Item", bound=Hashable)


def fuse(rankings: Sequence[Sequence[Item]], *, k: int = K) -> list[tuple[Item, float]]:
    """Return every item with its score, best first: the sum over the rankings of 1 / (k + place), place from 1.

    Among equals the one that an earlier ranking names first wins, so the same rankings always give the same order.
    """
    scores: dict[Item, float] = {}
    for ranking in rankings:
        for place, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda scored: -scored[1])
