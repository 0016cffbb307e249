"""What follows a failed attempt. [F1] [F2]"""

from __future__ import annotations

from dataclasses import dataclass

from agentapp.policies.classify import ErrorKind

BACKOFF_S = (10.0, 30.0, 120.0, 600.0)
# A year.
LONGEST_BACKOFF_S = 31_536_000.0


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


def trouble(policy: RetryPolicy) -> str:
    """Say why a policy cannot be followed: with it a failed attempt would not be recorded. "" where it can."""
    if policy.max_attempts < 1:
        return f"max_attempts is {policy.max_attempts}: say 1 or more"
    if not policy.backoff_s:
        return "backoff_s has no wait: say at least one"
    # NaN is in no range.
    unusable = [wait_s for wait_s in policy.backoff_s if not 0 <= wait_s <= LONGEST_BACKOFF_S]
    return f"backoff_s has {unusable[0]}: say 0 to {LONGEST_BACKOFF_S:.0f} seconds" if unusable else ""


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


@dataclass(frozen=True)
class AfterLoss:
    """What follows a lost attempt. One that is not counted uses up none. `jitter`: by up to which share of its wait it
    waits longer."""

    then: RetryIn | GiveUp
    is_counted: bool = True
    jitter: float = 0.0


# A job that was lost so often in a row is counted even if others were lost beside it.
MOST_LOST_IN_COMPANY = 10


def after_loss(policy: RetryPolicy, *, attempt: int, lost_before: int, beside: int | None = None) -> AfterLoss:
    """Say what follows an attempt whose worker was lost; `lost_before` is how often it was lost in a row before.

    The job is available again at once. Only when it was lost twice in a row is it suspected of killing its workers,
    and waits as after failures, so that it does not take one worker after the other with it. [D3] [F2]

    `beside` is how often in a row those were lost before that were lost in the same process, at most; None: it was
    alone. The job that kills its process is there each time, so its losses are never fewer than those of the others:

    - one that was lost less often than another is a bystander: its loss is not counted, and it need not wait;
    - of several that were lost equally often, twice or more, nobody can tell which it is: none is counted, and they
      wait for different times. Who is not there at the next loss falls behind, and is a bystander from then on.
    """
    in_company = beside is not None and lost_before < MOST_LOST_IN_COMPANY
    if in_company and beside is not None and beside > lost_before:
        return AfterLoss(RetryIn(0.0), is_counted=False)
    wait = RetryIn(policy.wait_before(lost_before + 1) if lost_before else 0.0)
    if in_company and beside == lost_before >= 2:
        return AfterLoss(wait, is_counted=False, jitter=1.0)
    if attempt >= policy.max_attempts:
        return AfterLoss(GiveUp("worker lost, attempts exhausted"))
    return AfterLoss(wait, jitter=1.0 if in_company else 0.0)


def with_jitter(seconds: float, *, fraction: float) -> float:
    """Spread retries: `seconds` plus up to a tenth of it. `fraction` in [0, 1) comes from the caller's random."""
    return seconds * (1 + 0.1 * fraction)
