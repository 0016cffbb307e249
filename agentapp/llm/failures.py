"""Which of our errors a provider's failure is. Pure: values in, an error out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agentapp.errors import ModelRefused, PermanentError, RateLimited, TransientError
from agentapp.policies.classify import is_retried_status


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


def from_status(
    status: int, *, message: str, headers: Mapping[str, str], now: datetime
) -> TransientError | PermanentError:
    """Turn an HTTP status that is not 2xx into the error that says what happens next.

    A provider may say in `x-should-retry` that a 4xx is worth another try; OpenAI does so for its own overload.
    """
    text = f"the model provider answered {status}: {message}"
    wait_s = retry_after_s(headers, now=now)
    if status == 429:
        return RateLimited(text, retry_after_s=wait_s)
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
