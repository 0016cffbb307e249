"""When a process that gives no sign of life may be taken for dead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# job id -> when its lease runs out, as Postgres writes it
Leases = Mapping[str, str]


@dataclass(frozen=True)
class Silent:
    """A process that holds leases but not its lock; it was seen for the last time `unseen_s` seconds ago."""

    leases: Leases
    unseen_s: float = 0.0


@dataclass(frozen=True)
class Sighting:
    """A process was first found without its lock at `at_s`, in seconds of a monotonic clock, holding these leases."""

    at_s: float
    leases: Leases


def judge(
    known: Mapping[int, Sighting], found: Mapping[int, Silent], *, now_s: float, apart_s: float
) -> tuple[dict[int, Leases], dict[int, Sighting]]:
    """Return the processes that are dead, with their leases, and what to remember for the next look.

    A released lock is only a hint: the session may have broken under a living worker. The process is dead when its
    lock was found free twice, at least `apart_s` seconds apart, and none of its leases was renewed or new in between;
    or at the first look, when it has not been seen for twice as long: a dispatcher that has just begun need not wait
    for what happened before.
    """
    dead: dict[int, Leases] = {}
    remembered: dict[int, Sighting] = {}
    for process, silent in found.items():
        sighting, leases = known.get(process), silent.leases
        if silent.unseen_s >= 2 * apart_s:
            dead[process] = leases
        elif sighting is None or any(sighting.leases.get(job) != expires for job, expires in leases.items()):
            remembered[process] = Sighting(now_s, leases)
        elif now_s - sighting.at_s < apart_s:
            remembered[process] = sighting
        else:
            dead[process] = leases
    return dead, remembered
