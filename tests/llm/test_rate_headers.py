"""What a provider says about its limits, beside an answer or instead of one. [E2]"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agentapp.errors import RateLimited
from agentapp.llm import client, failures
from agentapp.llm.client import Message
from tests.offline_model.process import OfflineModel

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def limited(provider: OfflineModel) -> Iterator[OfflineModel]:
    provider.http.put("/_control/limits", json={"requests_per_min": 6, "burst": 1})
    yield provider
    provider.http.delete("/_control/limits")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0), ("1h2m3s", 3723.0), ("1.5s", 1.5), ("120ms", 0.12), ("1m30s", 90.0), ("12", 12.0), ("0s", 0.0),
        ("soon", None), ("", None), (None, None), ("5 s", None), ("m", None),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_providers_write_it(text: str | None, seconds: float | None) -> None:
    assert failures.duration_s(text) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "9s"}, 0.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}, 9.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m0s",
          "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}, 60.0),
        ({"x-ratelimit-remaining-requests": "none", "x-ratelimit-reset-requests": "9s"}, 0.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "later"}, 0.0),
    ],
)  # fmt: skip
def test_a_provider_with_nothing_left_is_left_alone_until_there_is(headers: dict[str, str], seconds: float) -> None:
    assert failures.pause_s(headers) == seconds


def test_a_429_without_retry_after_is_as_long_as_its_rate_headers_say() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7s"}
    error = failures.from_status(429, message="slow down", headers=headers, now=NOW)

    assert isinstance(error, RateLimited) and error.retry_after_s == 7


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_used_the_last_request_asks_for_a_pause(limited: OfflineModel, stream: bool) -> None:
    reply = client.complete([Message("user", "Say hello.")], timeout_s=20, stream=stream)

    assert 9 < reply.pause_s <= 10


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_too_many_says_when_to_come_again(limited: OfflineModel, stream: bool) -> None:
    client.complete([Message("user", "Say hello.")], timeout_s=20)

    with pytest.raises(RateLimited) as refused:
        client.complete([Message("user", "Say hello.")], timeout_s=20, stream=stream)

    assert refused.value.retry_after_s is not None and 9 < refused.value.retry_after_s <= 10
