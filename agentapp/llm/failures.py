"""Which of our errors a provider's failure is. Pure: values in, an error out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentapp.errors import (
    InvalidModelOutput,
    ModelRefused,
    PermanentError,
    PromptTooLong,
    QuotaExhausted,
    RateLimited,
    TransientError,
)
from agentapp.llm import rate_headers
from agentapp.policies import provider_errors
from agentapp.policies.provider_errors import Verdict


class Refused(Exception):
    """A provider said no. `status` is None when it did so inside an answer of status 200: its codes decide then."""

    def __init__(self, status: int | None, *, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.headers = headers or {}
        self.refusal = provider_errors.read(body)

    @property
    def effective_status(self) -> int | None:
        """The status of the answer, or the one that its body names."""
        return self.status if self.status is not None else provider_errors.status_within(self.refusal.codes)

    def error(self, *, now: datetime) -> TransientError | PermanentError:
        """Return the error that says what happens next.

        A provider may say in `x-should-retry` that a 4xx is worth another try; OpenAI does so for its own overload.
        """
        status, refusal = self.status, self.refusal
        if status is not None and 300 <= status <= 399:
            where = provider_errors.short(self.headers.get("location", "nowhere"))
            return ModelRefused(f"the model provider redirects ({status}) to {where}: set the address that it names")
        refused_for_s = rate_headers.refused_for_s(self.headers, refusal.words, now=now)
        verdict = provider_errors.judge(status, refusal, asks_to_wait=refused_for_s is not None)
        if verdict is Verdict.REFUSED and self.headers.get("x-should-retry") == "true":
            verdict = Verdict.TRANSIENT
        # The rate headers stand beside every answer; only of one that says "too many" do they tell how long it holds.
        is_told = verdict is Verdict.LIMITED or status is None
        wait_s = refused_for_s if is_told else rate_headers.retry_after_s(self.headers, now=now)
        answered = "with an error" if status is None else status
        said = refusal.words or provider_errors.short(", ".join(sorted(refusal.codes))) or "no message"
        return _error(verdict, f"the model provider answered {answered}: {said}", wait_s=wait_s)


def decisive(first: Refused, last: Refused, *, now: datetime) -> TransientError | PermanentError:
    """Return the first refusal as an error; the last, where it says that another time may be better."""
    error = last.error(now=now)
    return error if isinstance(error, TransientError) else first.error(now=now)


def _error(verdict: Verdict, text: str, *, wait_s: float | None) -> TransientError | PermanentError:
    match verdict:
        case Verdict.LIMITED:
            return RateLimited(text, retry_after_s=wait_s)
        case Verdict.QUOTA:
            return QuotaExhausted(text)
        case Verdict.TRANSIENT:
            return TransientError(text, retry_after_s=wait_s)
        case Verdict.MALFORMED:
            return InvalidModelOutput(text)
        case Verdict.TOO_LONG:
            return PromptTooLong(text)
        case Verdict.REFUSED:
            return ModelRefused(text)
