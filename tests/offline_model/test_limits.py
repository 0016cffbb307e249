"""The offline model enforces a provider's rate limits when it is told to: a test of ours can then exceed them. [E2]"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.offline_model.limits import Bucket, duration
from tests.offline_model.process import OfflineModel

FOR_S, LEAST = 1.2, 20
HEADERS = [f"x-ratelimit-{what}-{name}" for name in ("requests", "tokens") for what in ("limit", "remaining", "reset")]


@pytest.fixture
def limited(model: OfflineModel) -> Iterator[OfflineModel]:
    yield model
    model.reset()


def ask(model: OfflineModel, **body: Any) -> httpx2.Response:
    messages = [{"role": "user", "content": "Say hello."}]
    return model.http.post("/v1/chat/completions", json={"messages": messages, **body})


def embed(model: OfflineModel) -> httpx2.Response:
    return model.http.post("/v1/embeddings", json={"input": "Say hello."})


def hammer(model: OfflineModel) -> list[dict[str, Any]]:
    """Ask from four threads as fast as it goes, for a while and until some were refused on the way, and return what the
    server remembers."""
    ends_s, statuses = time.monotonic() + FOR_S, list[int]()

    def on(thread: int) -> None:
        while time.monotonic() < ends_s or len(statuses) < LEAST or statuses.count(429) < LEAST / 2:
            statuses.append(ask(model).status_code)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(on, range(4)))
    return model.requests()


def passed_at(requests: list[dict[str, Any]]) -> list[float]:
    assert {request["status"] for request in requests} == {200, 429}
    return [request["at_s"] for request in requests if request["status"] == 200]


def verdict(bucket: Bucket, at_s: float) -> int:
    if bucket.wait_s(1, now_s=at_s):
        return 429
    bucket.level -= 1
    return 200


def most_over(times: list[float], *, per_s: float, each: float) -> float:
    """Return by how much the fullest of all windows is over its pace; no more than the burst may be."""
    windows = combinations(enumerate(times), 2)
    return max((last - first + 1) * each - per_s * (end - start) for (first, start), (last, end) in windows)


def test_no_window_holds_more_than_its_pace_and_the_burst(limited: OfflineModel) -> None:
    limited.limit(requests_per_min=300, burst=5)

    requests = hammer(limited)

    times = passed_at(requests)
    assert most_over(times, per_s=5, each=1) <= 5 + 1e-6
    # What is allowed is given: a bucket of our own says the same of each request at its moment.
    bucket = Bucket(300, 5, at_s=requests[0]["at_s"])
    assert [request["status"] for request in requests] == [verdict(bucket, request["at_s"]) for request in requests]
    refused = limited.http.get("/_control/requests").json()["refused"]
    assert refused == len(requests) - len(times)


def test_tokens_are_limited_as_strictly_when_many_ask_at_once(limited: OfflineModel) -> None:
    each = ask(limited).json()["usage"]["total_tokens"]
    limited.http.delete("/_control/requests")
    limited.limit(tokens_per_min=each * 300, token_burst=each * 3)

    times = passed_at(hammer(limited))

    assert len(times) > 3 and most_over(times, per_s=each * 5, each=each) <= each * 3 + 1e-3


ASKED = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 4)), max_size=40)


@given(per_min=st.floats(1, 600), burst=st.floats(1, 10), asked=ASKED)
def test_a_bucket_never_lets_more_pass_than_it_may(
    per_min: float, burst: float, asked: list[tuple[float, int]]
) -> None:
    bucket = Bucket(per_min, burst, at_s=0)
    now_s, passed = 0.0, [(0.0, 0)]
    for after_s, amount in asked:
        now_s += after_s
        if not bucket.wait_s(amount, now_s=now_s):
            bucket.level -= amount
            passed.append((now_s, amount))

    for first, (start_s, _) in enumerate(passed):
        for last in range(first, len(passed)):
            within = sum(amount for _, amount in passed[first : last + 1])
            assert within <= burst + (passed[last][0] - start_s) * per_min / 60 + 1e-6


def test_a_burst_passes_and_the_next_request_is_told_when_it_may_come(limited: OfflineModel) -> None:
    limited.limit(requests_per_min=6, burst=3)

    answers = [ask(limited) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "6"
    assert answers[0].headers["x-ratelimit-reset-requests"] == "0ms"
    # One comes back in ten seconds, counted from the first that was taken.
    first, *_, last = (request["at_s"] for request in limited.requests())
    left_ms = 10_000 - (last - first) * 1_000
    assert int(answers[3].headers["retry-after-ms"]) == pytest.approx(left_ms, abs=1)
    assert int(answers[3].headers["retry-after"]) == math.ceil(int(answers[3].headers["retry-after-ms"]) / 1_000)
    assert answers[3].headers["x-ratelimit-reset-requests"].endswith("s")
    error = answers[3].json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("requests", "rate_limit_exceeded", None)
    assert "Limit 6, Requested 1. Please try again in" in error["message"]


def test_a_request_of_more_tokens_than_the_burst_never_passes(limited: OfflineModel) -> None:
    limited.limit(tokens_per_min=60, token_burst=5)

    error = ask(limited).json()["error"]

    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    assert "Request too large" in error["message"]


def test_an_embedding_takes_from_the_same_limits(limited: OfflineModel) -> None:
    limited.limit(requests_per_min=6, burst=2, tokens_per_min=6000)

    first, second, third = embed(limited), ask(limited), embed(limited)

    assert [answer.status_code for answer in (first, second, third)] == [200, 200, 429]
    left = 6000 - first.json()["usage"]["total_tokens"]
    assert left <= int(first.headers["x-ratelimit-remaining-tokens"]) < 6000


def test_every_answer_tells_what_is_left_while_limits_are_set(limited: OfflineModel) -> None:
    limited.limit(requests_per_min=600, tokens_per_min=60_000)
    limited.fail("status", status=503)

    answers = [ask(limited), ask(limited), ask(limited, stream=True), ask(limited, max_tokens=0), embed(limited)]
    answers.append(limited.http.post("/v1/chat/completions", content="{"))

    assert [answer.status_code for answer in answers] == [503, 200, 200, 400, 200, 400]
    assert all(name in answer.headers for answer in answers for name in HEADERS)
    assert [request["status"] for request in limited.requests()] == [503, 200, 200, 400, 200]


def test_without_limits_nothing_is_told_and_nothing_is_refused(limited: OfflineModel) -> None:
    limited.limit(requests_per_min=6, burst=1)
    limited.http.delete("/_control/limits")

    answers = [ask(limited) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert not any(name in answer.headers for answer in answers for name in HEADERS)


def test_a_limit_of_null_is_none(limited: OfflineModel) -> None:
    answer = limited.http.put("/_control/limits", json={"requests_per_min": 60, "burst": 5, "tokens_per_min": None})

    assert answer.json() == {"requests_per_min": 60, "burst": 5}


@pytest.mark.parametrize(
    "limits",
    [{"requests_per_min": -1}, {"requests_per_min": 0}, {"requests_per_min": "6"}, {"requests_per_min": 6, "burst": 0},
     {"burst": 5}, {"requests": 6}, [6]],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(limited: OfflineModel, limits: Any) -> None:
    assert limited.http.put("/_control/limits", json=limits).status_code == 400
    assert ask(limited).status_code == 200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.12, "120ms"), (0.0001, "1ms"), (1, "1s"), (90.5, "1m30.5s"), (360, "6m0s"), (59.9999, "1m0s")],
)
def test_a_duration_is_written_as_openai_writes_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_requests_fails_for_as_long_as_the_rule_stands(limited: OfflineModel, share: float) -> None:
    limited.fail("status", status=500, share=share)

    statuses = [embed(limited).status_code for _ in range(40)]

    assert abs(statuses.count(500) - 40 * share) <= 1 and statuses.count(200) == 40 - statuses.count(500)


@pytest.mark.parametrize("rule", [{"share": 2}, {"share": "half"}, {"headers": {"a": 1}}, {"met": 1}])
def test_a_rule_with_a_share_or_headers_that_make_no_sense_is_refused(limited: OfflineModel, rule: Any) -> None:
    answer = limited.http.post("/_control/faults", json=[{"fault": "status", **rule}])

    assert answer.status_code == 400 and answer.json()["error"]["message"]
