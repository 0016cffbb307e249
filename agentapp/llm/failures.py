"""Which of our errors a provider's failure is. Pure: values in, an error out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentapp.errors import ModelRefused, PermanentError, QuotaExhausted, RateLimited, TransientError
from agentapp.llm import rate_headers
from agentapp.policies import provider_errors
from agentapp.policies.provider_errors import Verdict


class Refused(Exception):
    """A provider said no. `status` is None when it did so inside an answer of status 200."""

    def __init__(self, status: int | None, *, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.refusal = provider_errors.read(body)

    @property
    def effective_status(self) -> int | None:
        """The status of the answer, or the one that its body names."""
        return self.status if self.status is not None else provider_errors.status_within(self.refusal.codes)

    def error(self, *, now: datetime) -> TransientError | PermanentError:
        if self.status is None:
            return from_body(self.body, now=now)
        return from_status(self.status, body=self.body, headers=self.headers, now=now)


def from_status(
    status: int, *, body: Any, headers: Mapping[str, str], now: datetime
) -> TransientError | PermanentError:
    """Turn an answer whose HTTP status is not 2xx into the error that says what happens next.

    A provider may say in `x-should-retry` that a 4xx is worth another try; OpenAI does so for its own overload.
    """
    refusal = provider_errors.read(body)
    text = f"the model provider answered {status}: {refusal.words or 'without a word'}"
    if 300 <= status <= 399:
        where = provider_errors.short(headers.get("location", "nowhere"))
        return ModelRefused(f"the model provider redirects ({status}) to {where}: set the address that it names")
    refused_for_s = rate_headers.refused_for_s(headers, refusal.words, now=now)
    verdict = provider_errors.judge(status, refusal, asks_to_wait=refused_for_s is not None)
    if verdict is Verdict.REFUSED and headers.get("x-should-retry") == "true":
        verdict = Verdict.TRANSIENT
    # The rate headers stand beside every answer; only of one that says "too many" do they tell how long it holds.
    wait_s = refused_for_s if verdict is Verdict.LIMITED else rate_headers.retry_after_s(headers, now=now)
    return _error(verdict, text, wait_s=wait_s)


def from_body(body: Any, *, now: datetime) -> TransientError | PermanentError:
    """Turn an error that came inside an answer of status 200 into ours; its code decides, not the status."""
    refusal = provider_errors.read(body)
    wait_s = rate_headers.refused_for_s({}, refusal.words, now=now)
    text = f"the model provider answered with an error: {refusal.words or ', '.join(sorted(refusal.codes)) or body!r}"
    verdict = provider_errors.judge(None, refusal, asks_to_wait=wait_s is not None)
    return _error(verdict, provider_errors.short(text, most=600), wait_s=wait_s)


def _error(verdict: Verdict, text: str, *, wait_s: float | None) -> TransientError | PermanentError:
    match verdict:
        case Verdict.LIMITED:
            return RateLimited(text, retry_after_s=wait_s)
        case Verdict.QUOTA:
            return QuotaExhausted(text)
        case Verdict.TRANSIENT:
            return TransientError(text, retry_after_s=wait_s)
        case Verdict.REFUSED:
            return ModelRefused(text)
