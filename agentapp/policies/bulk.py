"""How far a bulk replay may go: a canary first, then batches, and a stop when too many fail again. [F3]"""

from __future__ import annotations

from dataclasses import dataclass

# One failure among the first few says little; a second one, beyond this share of what has ended, says enough.
FORGIVEN = 1
WORST_SHARE = 0.2


@dataclass(frozen=True)
class Tally:
    """How many jobs wait for their replay, are under way, were completed, and are dead letters again."""

    waiting: int
    under_way: int
    succeeded: int
    failed: int


@dataclass(frozen=True)
class Release:
    """Replay the next `count`."""

    count: int


@dataclass(frozen=True)
class Wait:
    """Those that are under way decide."""


@dataclass(frozen=True)
class Abort:
    """Replay no more."""

    reason: str


@dataclass(frozen=True)
class Done:
    """Nothing waits and nothing is under way."""


def is_proven(tally: Tally, *, canary: int) -> bool:
    """Tell whether as many replays have succeeded as the canary asks for."""
    return tally.succeeded >= canary


def decide(tally: Tally, *, canary: int, batch: int) -> Release | Wait | Abort | Done:
    """Say what a bulk replay does next; at most `batch` jobs are under way at once.

    A single failure ends the canary. Later it ends when more than one job, and more than a fifth of those that have
    ended, failed again. A job that is gone (its task was cancelled) counts for nothing: another canary takes its place.
    """
    ended = tally.succeeded + tally.failed
    if is_proven(tally, canary=canary):
        if tally.waiting and tally.failed > max(FORGIVEN, ended * WORST_SHARE):
            return Abort(f"{tally.failed} of {ended} failed again")
        room = batch - tally.under_way
    else:
        if tally.failed:
            return Abort(f"a canary failed again ({tally.failed} of {ended})")
        room = canary - tally.succeeded - tally.under_way
    if not tally.waiting:
        return Wait() if tally.under_way else Done()
    return Release(min(room, tally.waiting)) if room > 0 else Wait()
