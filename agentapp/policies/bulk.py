"""How far a bulk replay may go: a canary first, then batches, and a stop when too many fail again. [F3]"""

from __future__ import annotations

from dataclasses import dataclass

# One failure among the first few says little; a second one, beyond this share of what has ended, says enough.
FORGIVEN = 1
WORST_SHARE = 0.2


@dataclass(frozen=True)
class Progress:
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


def is_proven(progress: Progress, *, canary: int) -> bool:
    """Tell whether as many replays have succeeded as the canary asks for."""
    return progress.succeeded >= canary


def decide(progress: Progress, *, canary: int, batch: int) -> Release | Wait | Abort | Done:
    """Say what a bulk replay does next; at most `batch` jobs are under way at once.

    A single failure ends the canary. Later it ends when more than one job, and more than a fifth of those that have
    ended, failed again. A job that is gone (its task was cancelled) counts for nothing: another canary takes its place.
    """
    ended = progress.succeeded + progress.failed
    if is_proven(progress, canary=canary):
        if progress.waiting and progress.failed > max(FORGIVEN, ended * WORST_SHARE):
            return Abort(f"{progress.failed} of {ended} failed again")
        room = batch - progress.under_way
    else:
        if progress.failed:
            return Abort(f"a canary failed again ({progress.failed} of {ended})")
        room = canary - progress.succeeded - progress.under_way
    if not progress.waiting:
        return Wait() if progress.under_way else Done()
    return Release(min(room, progress.waiting)) if room > 0 else Wait()
