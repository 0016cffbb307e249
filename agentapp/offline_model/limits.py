"""A provider's rate limits: token buckets that refuse with 429 and tell in headers what is left, as OpenAI does."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

# How a limit is called in headers, and what sets its pace and its burst.
SET_BY = {"requests": ("requests_per_min", "burst"), "tokens": ("tokens_per_min", "token_burst")}


class BadLimits(ValueError):
    """Limits that cannot be read; the message says why."""


@dataclass
class Bucket:
    """Holds `burst` at most and gains `per_min`: in each window of W seconds at most W / 60 * per_min + burst pass.

    Times are seconds of a monotonic clock.
    """

    per_min: float
    burst: float
    at_s: float
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.burst

    def left(self, *, now_s: float) -> float:
        """Fill up to now and return what is there."""
        self.level = min(self.burst, self.level + max(0.0, now_s - self.at_s) * self.per_min / 60)
        self.at_s = max(self.at_s, now_s)
        return self.level

    def wait_s(self, amount: float, *, now_s: float) -> float:
        """Seconds until so much is there; 0 = now. What is larger than the burst never passes."""
        return max(0.0, (amount - self.left(now_s=now_s)) * 60 / self.per_min)


@dataclass(frozen=True)
class Refusal:
    """Which limit a request is over, for how long, and what the provider says about it."""

    name: str
    wait_s: float
    message: str


class Limits:
    """What is enforced, by name: requests, tokens. Empty: nothing."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}

    def set(self, given: Any) -> None:
        """Read {"requests_per_min", "burst", "tokens_per_min", "token_burst"}; what is missing or null is not limited.

        A burst that is not given is what a minute allows. The buckets are full at first.

        Raises:
            BadLimits: an unknown name, or a number that makes no sense.
        """
        names = [name for pair in SET_BY.values() for name in pair]
        if not isinstance(given, dict) or set(given) - set(names):
            raise BadLimits(f"limits are an object of {', '.join(names)}")
        found = {name: _bucket(given, *pair) for name, pair in SET_BY.items()}
        self.buckets = {name: bucket for name, bucket in found.items() if bucket is not None}

    def shown(self) -> dict[str, float]:
        """Return what is enforced, in the form in which it was set."""
        shown: dict[str, float] = {}
        for name, bucket in self.buckets.items():
            shown |= zip(SET_BY[name], (bucket.per_min, bucket.burst), strict=True)
        return shown

    def take(self, *, tokens: int, now_s: float) -> Refusal | None:
        """Let one request of so many tokens pass and charge it to every limit, or charge nothing and say why not."""
        amounts = {"requests": 1, "tokens": tokens}
        waits = {name: bucket.wait_s(amounts[name], now_s=now_s) for name, bucket in self.buckets.items()}
        name = max(waits, key=lambda one: waits[one], default="")
        if name and waits[name] > 0:
            return _refusal(name, self.buckets[name], amount=amounts[name], wait_s=waits[name])
        for name, bucket in self.buckets.items():
            bucket.level -= amounts[name]
        return None

    def headers(self) -> dict[str, str]:
        """Tell for each limit its pace, what is left, and in how long one more passes."""
        found = {}
        now_s = time.monotonic()
        for name, bucket in self.buckets.items():
            found[f"x-ratelimit-limit-{name}"] = f"{bucket.per_min:.15g}"
            found[f"x-ratelimit-remaining-{name}"] = str(int(bucket.left(now_s=now_s)))
            found[f"x-ratelimit-reset-{name}"] = duration(bucket.wait_s(1, now_s=now_s))
        return found


def duration(seconds: float) -> str:
    """Write 90.5 as 1m30.5s and 0.12 as 120ms, rounded up: who waits that long has waited long enough."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"


def _bucket(given: dict[str, Any], pace: str, room: str) -> Bucket | None:
    """Read one limit; None when it is not set."""
    per_min, burst = given.get(pace), given.get(room)
    if per_min is None:
        if burst is not None:
            raise BadLimits(f"{room} needs {pace}")
        return None
    if not (_is_above_zero(per_min) and (burst is None or (_is_above_zero(burst) and burst >= 1))):
        raise BadLimits(f"{pace} must be a number above 0, {room} one of at least 1")
    return Bucket(float(per_min), float(max(1, per_min) if burst is None else burst), at_s=time.monotonic())


def _is_above_zero(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _refusal(name: str, bucket: Bucket, *, amount: int, wait_s: float) -> Refusal:
    figures = f"Limit {bucket.per_min:.15g}, Requested {amount}"
    if amount > bucket.burst:
        return Refusal(name, wait_s, f"Request too large on {name} per min: {figures}, at once {bucket.burst:.15g}.")
    said = f"Rate limit reached on {name} per min: {figures}. Please try again in {duration(wait_s)}."
    return Refusal(name, wait_s, said)
