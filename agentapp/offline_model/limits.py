"""A provider's rate limits: token buckets that refuse with 429 and tell in headers what is left, as OpenAI does."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

NAMES = ("requests", "tokens")


@dataclass
class Bucket:
    """Holds `burst` at most and gains `per_s`: in each window of W seconds no more than W * per_s + burst pass."""

    per_min: float
    burst: float
    level: float = field(init=False)
    at_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.burst

    def left(self) -> float:
        now_s = time.monotonic()
        self.level = min(self.burst, self.level + (now_s - self.at_s) * self.per_min / 60)
        self.at_s = now_s
        return self.level

    def reset_s(self) -> float:
        """Seconds until one more passes; 0 = now."""
        return max(0.0, (1 - self.left()) * 60 / self.per_min)


class Limits:
    """What is enforced, by name: requests, tokens. Empty: nothing."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.refused = 0

    def set(self, given: dict[str, Any]) -> None:
        """Read {"requests_per_min", "burst", "tokens_per_min", "token_burst"}; what is missing is not limited.

        Raises:
            ValueError: a number is not above zero.
        """
        wanted = {
            "requests": (given.get("requests_per_min"), given.get("burst")),
            "tokens": (given.get("tokens_per_min"), given.get("token_burst")),
        }
        buckets = {
            name: Bucket(float(per_min), float(burst or per_min))
            for name, (per_min, burst) in wanted.items()
            if per_min
        }
        if any(bucket.per_min <= 0 or bucket.burst < 1 for bucket in buckets.values()):
            raise ValueError("limits are numbers above zero, bursts at least 1")
        self.buckets = buckets

    def wait_s(self) -> float:
        """Take one request; 0 when it passes, else the seconds after which it would."""
        waits = [bucket.reset_s() for bucket in self.buckets.values()]
        if any(waits):
            self.refused += 1
            return max(waits)
        if "requests" in self.buckets:
            self.buckets["requests"].level -= 1
        return 0.0

    def used(self, tokens: int) -> None:
        """Charge what an answer used; the bucket may go below zero."""
        if "tokens" in self.buckets:
            self.buckets["tokens"].left()
            self.buckets["tokens"].level -= tokens

    def headers(self) -> dict[str, str]:
        found = {}
        for name, bucket in self.buckets.items():
            found[f"x-ratelimit-limit-{name}"] = f"{bucket.per_min:g}"
            found[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.left())))
            found[f"x-ratelimit-reset-{name}"] = _duration(bucket.reset_s())
        return found


def _duration(seconds: float) -> str:
    """Write 90.5 as 1m30.5s and 0.12 as 120ms."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return (f"{int(minutes)}m" if minutes else "") + f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
