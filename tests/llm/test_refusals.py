"""What the refusals of providers mean, and that their words are kept: pure decisions. [F1] [F2]"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agentapp.errors import ModelRefused, PromptTooLong, QuotaExhausted, RateLimited, TransientError
from agentapp.llm import failures, rate_headers
from agentapp.policies import provider_errors

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
BILLING = "You exceeded your current quota, please check your plan and billing details."


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def left(name: str, remaining: int, reset: str) -> dict[str, str]:
    prefix = f"anthropic-ratelimit-{name}"
    return {f"{prefix}-remaining": str(remaining), f"{prefix}-reset": reset}


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        # The account is empty.
        (429, {"error": {"message": BILLING, "code": "insufficient_quota"}}, QuotaExhausted, "billing"),
        (429, {"error": {"message": "x", "code": "billing_hard_limit_reached"}}, QuotaExhausted, "429: x"),
        (402, {"error": {"message": "Insufficient Balance"}}, QuotaExhausted, "Insufficient Balance"),
        (402, "", QuotaExhausted, "402: no message"),
        (400, anthropic("invalid_request_error", "Your credit balance is too low"), QuotaExhausted, "credit balance"),
        (403, {"detail": "out of credits"}, QuotaExhausted, "out of credits"),
        (429, BILLING, QuotaExhausted, "current quota"),
        (400, {"error": {"message": "Refused: 'my card said insufficient funds'"}}, ModelRefused, "my card"),
        # Too much at once; Gemini has the words of an empty account for it.
        (429, [{"error": {"message": BILLING, "status": "RESOURCE_EXHAUSTED"}}], RateLimited, "current quota"),
        (429, {"error": {"message": "Limit reached", "code": "rate_limit_exceeded"}}, RateLimited, "Limit reached"),
        # It may work next time.
        (529, anthropic("overloaded_error", "Overloaded"), TransientError, "529: Overloaded"),
        (502, "<html><h1>Bad Gateway</h1><script>x()</script></html>", TransientError, r"502: Bad Gateway$"),
        (503, {"message": {"error": "no worker"}}, TransientError, "no worker"),
        (500, None, TransientError, "no message"),
        # It will not.
        (422, {"detail": [{"loc": ["body", "n"], "msg": "Extra", "input": 1}]}, ModelRefused, r"body\.n: Extra$"),
        (400, {"detail": "Unknown model"}, ModelRefused, "400: Unknown model"),
        (400, ["no", "such", "role"], ModelRefused, "no; such; role"),
        (400, {"errors": [{"message": "first"}, {"message": "second"}]}, ModelRefused, "first; second"),
        (400, json.dumps({"error": json.dumps({"error": {"message": "deep down"}})}), ModelRefused, "deep down"),
        (404, {"error": "model 'x' not found, try pulling it first"}, ModelRefused, "pulling it"),
        (401, {"error": {"message": "Incorrect API key\nprovided\0"}}, ModelRefused, "Incorrect API key provided"),
        (400, {"error": {"message": "x" * 9_000}}, ModelRefused, "x…$"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_follows_in_the_provider_s_words(
    status: int, body: Any, kind: type[Exception], words: str
) -> None:
    error = failures.Refused(status, body=body).error(now=NOW)

    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
        (400, "the request exceeds the available context size, try increasing it", "exceed_context_size_error"),
        (500, "Context size has been exceeded.", "server_error"),
        (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", "invalid_request_error"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "400"),
        (400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "3051"),
        (400, "Please reduce the length of the messages or completion.", "invalid_request_error"),
        (400, "litellm.ContextWindowExceededError: it does not fit", "context_window_exceeded"),
        (413, "Request too large", "request_too_large"),
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long_is_told_whatever_it_is_called(status: int, message: str, code: str) -> None:
    error = failures.Refused(status, body={"error": {"message": message, "code": code}}).error(now=NOW)

    assert type(error) is PromptTooLong


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (429, "Too many tokens per minute: reduce the length of your prompt", RateLimited),
        (503, "The context window service is starting", TransientError),
        (400, "Unknown parameter: 'context'", ModelRefused),
    ],
)
def test_other_refusals_that_speak_of_length_are_what_they_were(
    status: int, message: str, kind: type[Exception]
) -> None:
    assert type(failures.Refused(status, body={"error": {"message": message}}).error(now=NOW)) is kind


def test_a_body_of_any_depth_is_read_in_a_moment() -> None:
    deep: Any = "end"
    for _ in range(500):
        deep = {"error": [deep] * 3}

    assert provider_errors.read(deep).words == ""
    assert provider_errors.read("<" * 1_000_000).words


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"retry-after": "2m59s"}, "", 179.0),
        ({"retry-after": "120ms"}, "", 0.12),
        ({"retry-after": "2030-01-01T12:00:30Z"}, "", 30.0),
        ({"retry-after": "1893499290"}, "", 90.0),
        ({"retry-after": "1893499290000"}, "", 90.0),
        ({"retry-after": "1e300"}, "", 86_400.0),
        ({"retry-after": "9999999"}, "", 86_400.0),
        ({"retry-after": "Fri, 01 Jan 9999 00:00:00 GMT"}, "", 86_400.0),
        ({"retry-after": "\u0663"}, "", 3.0),
        ({**left("tokens", 0, "2030-01-01T12:00:20Z"), **left("requests", 9, "2030-01-01T12:00:05Z")}, "", 20.0),
        (left("input-tokens", 0, "2030-01-01T12:01:00+00:00"), "", 60.0),
        ({"ratelimit": '"burst";r=0;t=30, "day";r=900;t=3600', "ratelimit-policy": '"burst";q=100;w=60'}, "", 30.0),
        ({"ratelimit": "limit=100, remaining=0, reset=50"}, "", 50.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, "", 12.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1893499245000"}, "", 45.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59s"}, "", 179.0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "120ms"}, "", 0.12),
        ({}, "Please try again in 2m59.56s.", 179.56),
        ({}, "Please retry in 34.07s.", 34.07),
        ({}, "Try again in 20 seconds", 20.0),
        ({"retry-after": "7"}, "try again in 3s", 7.0),
        ({"ratelimit": "nonsense;;;==", "x-ratelimit-reset": "later", "retry-after": "soon"}, "Rate limited.", None),
    ],
)  # fmt: skip
def test_how_long_a_429_holds_is_read_as_each_provider_says_it(
    headers: dict[str, str], words: str, seconds: float | None
) -> None:
    found = rate_headers.refused_for_s(headers, words, now=NOW)

    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (left("requests", 0, "2030-01-01T12:00:20Z"), 20.0),
        (left("requests", 1, "2030-01-01T12:00:20Z"), 0.0),
        ({"ratelimit": '"default";r=0;t=9'}, 9.0),
        ({"ratelimit": '"default";r=5;t=9'}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4102444800"}, 0.0),  # in the year 2100
    ],
)  # fmt: skip
def test_an_answer_that_used_up_a_limit_asks_for_a_pause(headers: dict[str, str], seconds: float) -> None:
    assert rate_headers.pause_s(headers, now=NOW) == seconds
