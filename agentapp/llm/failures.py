"""Which of our errors a provider's failure is. Pure: values in, an error out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agentapp.errors import ModelRefused, PermanentError, RateLimited, TransientError
from agentapp.policies.classify import is_retried_status

LONGEST_S = 86_400.0
RATED = ("requests", "tokens")
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read how long the provider asks us to wait, in seconds, or None when it does not say.

    Knows `retry-after-ms`, and `Retry-After` as seconds or as an HTTP date. A date in the past is 0.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    # RFC 9110 dates are GMT; a date without a zone is read as such.
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def duration_s(text: str | None) -> float | None:
    """Read a duration as rate headers have it, such as 6m0s, 1.5s, 120ms or 12, in seconds; None for anything else.

    More than a day is none: some providers write a point in time there, and no limit is longer.
    """
    seconds = _number(text)
    found = _DURATION.fullmatch(text) if text else None
    if seconds is None and found is not None:
        seconds = sum(float(value) * _SECONDS[unit] for unit, value in found.groupdict().items() if value)
    return seconds if seconds is not None and seconds <= LONGEST_S else None


def pause_s(headers: Mapping[str, str]) -> float:
    """Read for how many seconds the provider wants no more: until what it has nothing left of is there again."""
    waits = [
        duration_s(headers.get(f"x-ratelimit-reset-{name}")) or 0.0
        for name in RATED
        if _number(headers.get(f"x-ratelimit-remaining-{name}")) == 0
    ]
    return max(waits, default=0.0)


def refused_for_s(headers: Mapping[str, str]) -> float | None:
    """Read from the rate headers of a 429 for how many seconds it holds, or None when they do not say.

    When something is left of everything, nothing tells which limit it was: the shortest, as a longer one may be
    that of a day.
    """
    resets = [duration_s(headers.get(f"x-ratelimit-reset-{name}")) for name in RATED]
    return pause_s(headers) or min((seconds for seconds in resets if seconds), default=None)


def from_status(
    status: int, *, message: str, headers: Mapping[str, str], now: datetime
) -> TransientError | PermanentError:
    """Turn an HTTP status that is not 2xx into the error that says what happens next.

    A provider may say in `x-should-retry` that a 4xx is worth another try; OpenAI does so for its own overload.
    """
    text = f"the model provider answered {status}: {message}"
    wait_s = retry_after_s(headers, now=now)
    if status == 429:
        return RateLimited(text, retry_after_s=refused_for_s(headers) if wait_s is None else wait_s)
    if is_retried_status(status) or headers.get("x-should-retry") == "true":
        return TransientError(text, retry_after_s=wait_s)
    return ModelRefused(text)


def _number(value: str | None) -> float | None:
    """Read a number of seconds or milliseconds that is not negative; None for anything else."""
    try:
        number = float(value) if value else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < float("inf") else None
