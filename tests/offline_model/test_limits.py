"""The offline model enforces a provider's rate limits when it is told to: a test of ours can then exceed them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.offline_model.process import OfflineModel


@pytest.fixture
def limited(model: OfflineModel) -> Iterator[OfflineModel]:
    yield model
    model.http.delete("/_control/limits")


def ask(model: OfflineModel) -> httpx2.Response:
    return model.http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Say hello."}]})


def test_a_burst_passes_and_the_next_request_is_told_when_it_may_come(limited: OfflineModel) -> None:
    limited.http.put("/_control/limits", json={"requests_per_min": 6, "burst": 3})

    answers = [ask(limited) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "2"
    assert answers[0].headers["x-ratelimit-limit-requests"] == "6"
    assert 8 <= int(answers[3].headers["retry-after"]) <= 10
    assert answers[3].json()["error"]["type"] == "rate_limit_exceeded"
    assert [request["status"] for request in limited.requests()[-4:]] == [200, 200, 200, 429]


def test_tokens_are_charged_after_the_answer(limited: OfflineModel) -> None:
    limited.http.put("/_control/limits", json={"tokens_per_min": 60, "token_burst": 5})

    first, second = ask(limited), ask(limited)

    assert (first.status_code, second.status_code) == (200, 429)
    assert "x-ratelimit-reset-tokens" in second.headers


def test_limits_that_make_no_sense_are_refused(limited: OfflineModel) -> None:
    assert limited.http.put("/_control/limits", json={"requests_per_min": -1}).status_code == 400
    assert ask(limited).status_code == 200
