"""The jobs of the model: what an attempt is, and how long one waits for the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

LEASE_S = 15.0
WAITS_S = (10.0, 30.0, 120.0, 600.0)


def wait_after_failure_s(attempt: int, retry_after_s: float) -> float:
    """`attempt` is the one that failed, from 1."""
    return max(retry_after_s, WAITS_S[min(attempt, len(WAITS_S)) - 1])


@dataclass(eq=False)
class Attempt:
    outcome: str = ""


@dataclass(eq=False)
class Job:
    """`owner` is the attempt that may settle it; `budget` are the attempts since the last replay."""

    type: str
    most: int
    state: str = "pending"
    attempts: list[Attempt] = field(default_factory=list)
    budget: list[Attempt] = field(default_factory=list)
    owner: Attempt | None = None
    lease_until: datetime | None = None
    due: datetime | None = None

    @property
    def counted(self) -> list[str]:
        """The outcomes of the attempts that were used up."""
        return [attempt.outcome for attempt in self.budget if attempt.outcome != "handed_back"]

    def start(self, now: datetime) -> None:
        self.owner = Attempt()
        self.attempts.append(self.owner)
        self.budget.append(self.owner)
        self.state, self.lease_until = "running", now + timedelta(seconds=LEASE_S)

    def end_attempt(self, outcome: str, *, to: str, due: datetime | None = None) -> None:
        if self.owner is not None:
            self.owner.outcome = outcome
        self.owner, self.lease_until, self.due, self.state = None, None, due, to

    def wait_after_loss_s(self) -> float:
        """At once after the first loss; as after failures when lost again and again."""
        losses = 1
        for outcome in reversed(self.counted[:-1]):
            if outcome != "lost":
                break
            losses += 1
        return WAITS_S[losses - 2] if losses > 1 else 0.0
