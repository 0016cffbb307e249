"""For how long a provider wants to be left alone, as its headers or its words say. Pure.

Known are `Retry-After` (seconds, a duration, a date or a point in time), `retry-after-ms`, the reset headers of OpenAI
and its likes (`x-ratelimit-*`), of Anthropic (`anthropic-ratelimit-*`) and of the IETF's drafts (`RateLimit`,
`RateLimit-Reset`). No answer is longer than a day: what a provider says must not decide when the year is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agentapp.policies import bounds

LONGEST_S = 86_400.0
# Bigger numbers are points in time: seconds since 1970, or milliseconds.
EPOCH_S, EPOCH_MS = 1e9, 1e12
# Beyond every point in time.
LARGEST = 1e15
_PREFIXES = ("x-ratelimit", "anthropic-ratelimit", "ratelimit")
_NAMES = ("requests", "tokens", "input-tokens", "output-tokens")
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# Of the IETF's drafts: `limit=10, remaining=0, reset=30`, and later `"burst";r=0;t=30, "day";r=900;t=3600`.
_FIELD = re.compile(r"\b(remaining|reset|r|t)\s*=\s*(\d+)")
_IN_WORDS = re.compile(
    r"(?:again|retry|wait)\D{0,30}?((?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:ms|s)\b|\d+(?= seconds?\b))", re.IGNORECASE
)


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read how long `Retry-After` asks us to wait, in seconds, or None when it does not say. The past is 0."""
    milliseconds = _number(headers.get("retry-after-ms"))
    wait_s = _until_s(headers.get("retry-after"), now=now) if milliseconds is None else milliseconds / 1000
    return None if wait_s is None else min(wait_s, LONGEST_S)


def pause_s(headers: Mapping[str, str], *, now: datetime) -> float:
    """Read for how many seconds the provider wants no more: until what it has nothing left of is there again."""
    return max((reset or 0.0 for left, reset in _limits(headers, now=now) if left == 0), default=0.0)


def refused_for_s(headers: Mapping[str, str], words: str, *, now: datetime) -> float | None:
    """Read for how many seconds a refusal holds: from Retry-After, the rate headers, or the words of the body.

    When something is left of everything, nothing tells which limit it was: the shortest, as a longer one may be
    that of a day.
    """
    asked_s = retry_after_s(headers, now=now)
    if asked_s is not None:
        return asked_s
    resets = [reset for _, reset in _limits(headers, now=now) if reset]
    found = _IN_WORDS.search(words)
    return (
        pause_s(headers, now=now) or min(resets, default=None) or (within_a_day_s(found[1], now=now) if found else None)
    )


def _limits(headers: Mapping[str, str], *, now: datetime) -> Iterator[tuple[float | None, float | None]]:
    """Yield what is left of each limit that the headers tell of, and in how many seconds it is whole again."""
    for prefix in _PREFIXES:
        yield _number(headers.get(f"{prefix}-remaining")), within_a_day_s(headers.get(f"{prefix}-reset"), now=now)
        for name in _NAMES:
            # x-ratelimit-remaining-tokens, but anthropic-ratelimit-tokens-remaining.
            for left, reset in ((f"remaining-{name}", f"reset-{name}"), (f"{name}-remaining", f"{name}-reset")):
                yield (
                    _number(headers.get(f"{prefix}-{left}")),
                    within_a_day_s(headers.get(f"{prefix}-{reset}"), now=now),
                )
    value = headers.get("ratelimit", "")
    for item in [value] if "remaining" in value else value.split(","):
        fields = {
            name[0] if name != "reset" else "t": _number(number) or 0.0 for name, number in _FIELD.findall(item[:500])
        }
        yield fields.get("r"), min(fields["t"], LONGEST_S) if "t" in fields else None


def within_a_day_s(text: str | None, *, now: datetime) -> float | None:
    """Read when a limit is whole again; None where it cannot be read or is more than a day away."""
    seconds = _until_s(text, now=now)
    return seconds if seconds is not None and seconds <= LONGEST_S else None


def _until_s(text: str | None, *, now: datetime) -> float | None:
    """Read a duration such as 6m0s, 1.5s, 120ms or 12, or a point in time, as seconds from now; the past is 0."""
    number = _number(text)
    if number is not None:
        if number >= EPOCH_S:
            number = (number / 1000 if number >= EPOCH_MS else number) - now.timestamp()
        return max(0.0, number)
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    if found is not None:
        return _seconds(found)
    at = _moment(text)
    return None if at is None else max(0.0, (at - now).total_seconds())


def _moment(text: str) -> datetime | None:
    """Read a point in time of RFC 9110 (Tue, 01 Jan 2030 12:01:30 GMT) or RFC 3339 (2030-01-01T12:01:30Z)."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = parse(text)
            # RFC 9110 dates are GMT; a date without a zone is read as such.
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _seconds(found: re.Match[str]) -> float:
    return sum((_number(value) or 0.0) * _SECONDS[unit] for unit, value in found.groupdict().items() if value)


def _number(value: str | None) -> float | None:
    """Read a number that is not negative; None for anything else."""
    number = bounds.number(value, least=-1, most=LARGEST)
    return number if number is not None and number >= 0 else None
