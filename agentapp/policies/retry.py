"""What follows a failed attempt. [F1] [F2]"""

from __future__ import annotations

from dataclasses import dataclass

from agentapp.policies.classify import ErrorKind

BACKOFF_S = (10.0, 30.0, 120.0, 600.0)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a job type is tried, and how long each next try waits.

    `backoff_s[i]` is the wait in seconds before attempt i + 2; the last value repeats when attempts outnumber it.
    """

    max_attempts: int = 5
    backoff_s: tuple[float, ...] = BACKOFF_S

    def wait_before(self, attempt: int) -> float:
        """Seconds before `attempt` (2 is the first retry)."""
        return self.backoff_s[min(attempt - 2, len(self.backoff_s) - 1)]


@dataclass(frozen=True)
class RetryIn:
    """Try again in `seconds`, without jitter."""

    seconds: float


@dataclass(frozen=True)
class GiveUp:
    """Make it a dead letter; `reason` is one of the dead-letter reasons."""

    reason: str


def decide(
    policy: RetryPolicy, *, attempt: int, kind: ErrorKind, retry_after_s: float | None = None
) -> RetryIn | GiveUp:
    """Say what follows a failed attempt (1 is the first run).

    A server's own Retry-After wins over our table when it is longer. RetryIn is in seconds, without jitter:
    the caller adds it, so that this stays exact in tests.
    """
    if kind is not ErrorKind.TRANSIENT:
        return GiveUp(kind.value)
    if attempt >= policy.max_attempts:
        return GiveUp("attempts exhausted")
    return RetryIn(max(retry_after_s or 0.0, policy.wait_before(attempt + 1)))


def after_loss(policy: RetryPolicy, *, attempt: int, lost_in_a_row: int) -> RetryIn | GiveUp:
    """Say what follows an attempt whose worker was lost; `lost_in_a_row` counts this one.

    The job is available again at once. Only when it was lost twice in a row is it suspected of killing its workers,
    and waits as after failures, so that it does not take one worker after the other with it. [D3] [F2]
    """
    if attempt >= policy.max_attempts:
        return GiveUp("worker lost, attempts exhausted")
    return RetryIn(0.0 if lost_in_a_row < 2 else policy.wait_before(lost_in_a_row))


def with_jitter(seconds: float, *, fraction: float) -> float:
    """Spread retries: `seconds` plus up to a tenth of it. `fraction` in [0, 1) comes from the caller's random."""
    return seconds * (1 + 0.1 * fraction)
