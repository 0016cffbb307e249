"""What a provider says about its limits, beside an answer or instead of one. [E2]"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agentapp.errors import RateLimited
from agentapp.llm import client, failures, rate_headers
from agentapp.llm.client import Message, Reply
from tests.offline_model.process import OfflineModel

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
REQUESTS = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}
TOKENS = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m0s"}


# Between two requests of a limited provider: so long that a busy machine uses up little of it.
STEP_S = 100


@pytest.fixture
def limited(provider: OfflineModel) -> Iterator[OfflineModel]:
    provider.limit(requests_per_min=60 / STEP_S, burst=1)
    yield provider
    provider.reset()


def ask(*, stream: bool = False) -> Reply:
    return client.complete([Message("user", "Say hello.")], timeout_s=20, stream=stream)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0), ("1h2m3s", 3723.0), ("1.5s", 1.5), ("120ms", 0.12), ("250ms", 0.25), ("1m30s", 90.0),
        ("1m30ms", 60.03), ("12", 12.0), ("0.5", 0.5), ("0s", 0.0), ("24h", 86_400.0),
        ("soon", None), ("", None), (None, None), ("5 s", None), ("m", None), ("-5s", None), ("nan", None),
        ("3s2m", None), ("25h", None), ("1893499230", 30.0), ("9" * 400 + "s", None), ("2030-01-01T12:00:30Z", 30.0),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_providers_write_it(text: str | None, seconds: float | None) -> None:
    assert rate_headers.within_a_day_s(text, now=NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        (REQUESTS, 9.0),
        (REQUESTS | TOKENS, 60.0),
        (REQUESTS | {"x-ratelimit-remaining-requests": "3"}, 0.0),
        (REQUESTS | {"x-ratelimit-remaining-requests": "none"}, 0.0),
        (REQUESTS | {"x-ratelimit-remaining-requests": "-1"}, 0.0),
        (REQUESTS | {"x-ratelimit-reset-requests": "later"}, 0.0),
        (REQUESTS | {"x-ratelimit-reset-requests": "1893499200"}, 0.0),
        ({"x-ratelimit-remaining-requests": "0"}, 0.0),
    ],
)
def test_a_provider_with_nothing_left_is_left_alone_until_there_is(headers: dict[str, str], seconds: float) -> None:
    assert rate_headers.pause_s(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (REQUESTS | {"retry-after": "2"}, 2.0),
        (REQUESTS | {"retry-after": "0"}, 0.0),
        (REQUESTS | {"retry-after": "soon"}, 9.0),
        (REQUESTS | TOKENS, 60.0),
        (REQUESTS | TOKENS | {"x-ratelimit-remaining-requests": "40", "x-ratelimit-remaining-tokens": "7"}, 9.0),
        ({"x-ratelimit-reset-tokens": "55"}, 55.0),
        ({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "later"}, None),
        ({}, None),
    ],
)
def test_a_429_without_retry_after_is_as_long_as_its_rate_headers_say(
    headers: dict[str, str], seconds: float | None
) -> None:
    error = failures.Refused(429, body="slow down", headers=headers).error(now=NOW)

    assert isinstance(error, RateLimited) and error.retry_after_s == seconds


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_used_the_last_request_asks_for_a_pause(limited: OfflineModel, stream: bool) -> None:
    reply = ask(stream=stream)

    assert reply.text and 80 < reply.pause_s <= STEP_S


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_leaves_some_asks_for_none(limited: OfflineModel, stream: bool) -> None:
    limited.limit(requests_per_min=6, burst=2)

    assert ask(stream=stream).pause_s == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_says_nothing_of_limits_asks_for_no_pause(provider: OfflineModel, stream: bool) -> None:
    assert ask(stream=stream).pause_s == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("left", "reset"), [("0", "in a while"), ("nothing", "9s"), ("", ""), ("0", "1893499200")])
def test_headers_that_cannot_be_read_count_as_absent(
    provider: OfflineModel, stream: bool, left: str, reset: str
) -> None:
    provider.fail("headers", headers={"x-ratelimit-remaining-requests": left, "x-ratelimit-reset-requests": reset})

    reply = ask(stream=stream)

    assert reply.text and reply.finish_reason == "stop" and reply.pause_s == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_too_many_says_when_to_come_again(limited: OfflineModel, stream: bool) -> None:
    ask()

    with pytest.raises(RateLimited, match=r"429.*Please try again in") as refused:
        ask(stream=stream)

    assert refused.value.retry_after_s is not None and 80 < refused.value.retry_after_s <= STEP_S


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_without_retry_after_says_it_in_its_rate_headers(provider: OfflineModel, stream: bool) -> None:
    provider.fail("status", status=429, headers={**TOKENS, "x-ratelimit-reset-tokens": "1m30s"})

    with pytest.raises(RateLimited) as refused:
        ask(stream=stream)

    assert refused.value.retry_after_s == 90
