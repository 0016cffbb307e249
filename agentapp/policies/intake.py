"""What a client is told when many tasks wait already. [A8]"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

SHORTEST_WAIT_S, LONGEST_WAIT_S = 1, 3_600
# Nothing has begun recently, so nobody can tell.
UNKNOWN_WAIT_S = 300


@dataclass(frozen=True)
class QueuePressure:
    """How many tasks wait to begin: of the tenant and in the platform, against the most that may.

    `per_s` and `platform_per_s`: how many begin in a second, as measured. `tenants`: how many others wait.
    `refused` says by whose mark one more was refused: tenant, platform, or "" where it was accepted.
    """

    waiting: int = 0
    most: int = 0
    platform_waiting: int = 0
    platform_most: int = 0
    per_s: float = 0.0
    platform_per_s: float = 0.0
    tenants: int = 0
    refused: str = ""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read what a move answers; one of a later release may say more."""
        return cls(**{name: answer[name] for name in cls.__dataclass_fields__ if name in answer})

    @property
    def left(self) -> int:
        """How many more the tenant may submit now."""
        return max(0, min(self.most - self.waiting, self.platform_most - self.platform_waiting))


def own_rate_per_s(pressure: QueuePressure) -> float:
    """How many of the tenant's tasks begin in a second: as measured, or else an equal share of all."""
    return max(pressure.per_s, pressure.platform_per_s / (pressure.tenants + 1))


def retry_after_s(pressure: QueuePressure) -> int:
    """After how many seconds one more should be accepted, at the rate at which tasks begin now."""
    if pressure.refused == "platform":
        surplus, rate = pressure.platform_waiting - pressure.platform_most + 1, pressure.platform_per_s
    else:
        surplus, rate = pressure.waiting - pressure.most + 1, own_rate_per_s(pressure)
    if rate <= 0:
        return UNKNOWN_WAIT_S
    return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, math.ceil(surplus / rate)))


def starts_in_s(pressure: QueuePressure, *, soft_mark: int) -> float | None:
    """After how many seconds a task that is accepted now should begin; None below the soft mark, or where nobody can
    tell."""
    rate = own_rate_per_s(pressure)
    if max(pressure.waiting, pressure.platform_waiting) < soft_mark or rate <= 0:
        return None
    return (pressure.waiting + 1) / rate
