"""Three times as much as the workers can do: 429 with an honest Retry-After, never 5xx, and well again soon. [A8]"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import uuid4

import httpx2
import pytest

from agentapp.policies.intake import LONGEST_WAIT_S, SHORTEST_WAIT_S
from tests.acceptance.deployment import until
from tests.acceptance.limits.floor import SLOTS, Floor
from tests.acceptance.scale import LONG, sized, timed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 600))]

SECONDS = 0.8
PER_S = SLOTS / SECONDS
MOST_WAITING = 60
OVERLOAD_S = 120
CALM_S = 10
CLIENTS = 16


@dataclass
class Answers:
    """What clients got that submit at a steady rate, whatever comes back."""

    accept_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    retry_after_s: list[int] = field(default_factory=list)
    unfriendly: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, answer: httpx2.Response, took_s: float) -> None:
        with self.lock:
            self.statuses[answer.status_code] += 1
            if answer.status_code == 202:
                self.accept_s.append(took_s)
            elif answer.status_code == 429 and "RateLimit" in answer.headers:
                self.retry_after_s.append(int(answer.headers["Retry-After"]))
            else:
                self.unfriendly.append(f"{answer.status_code} {answer.text}")

    @property
    def p99_s(self) -> float:
        return sorted(self.accept_s)[int(len(self.accept_s) * 0.99)]


def offered(floor: Floor, label: str, *, per_s: float, for_s: float) -> Answers:
    """Submit `per_s` tasks a second, for so long."""
    answers = Answers()
    body = {"kind": "pause_plain", "input": {"seconds": SECONDS}, "labels": {"load": label}}

    def one(at_s: float) -> None:
        time.sleep(max(0.0, at_s - time.monotonic()))
        began_s = time.monotonic()
        answers.take(floor.deployment.ask("POST", "/tasks", body), time.monotonic() - began_s)

    start_s = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(one, [start_s + number / per_s for number in range(int(per_s * for_s))]))
    return answers


def test_what_is_too_much_is_refused_and_soon_forgotten(floor: Floor) -> None:
    floor.gate("global", max_waiting=MOST_WAITING)
    answers = Answers()
    with floor.closed():
        label = floor.submit("pause_plain", count=MOST_WAITING, input={"seconds": 0})
        # The mark is compared with what the dispatcher has counted at its last look.
        until(lambda: floor.deployment.ask("POST", "/tasks", NOTHING).status_code == 429, "the mark is reached")
        with ThreadPoolExecutor(CLIENTS) as clients:
            for answer in clients.map(lambda _: floor.deployment.ask("POST", "/tasks", NOTHING), range(MOST_WAITING)):
                answers.take(answer, 0.0)

    assert not answers.unfriendly
    assert answers.statuses == {429: MOST_WAITING}
    assert len(answers.retry_after_s) == MOST_WAITING
    assert all(SHORTEST_WAIT_S <= wait_s <= LONGEST_WAIT_S for wait_s in answers.retry_after_s)
    floor.all_over(label)
    until(lambda: floor.deployment.ask("POST", "/tasks", NOTHING).status_code == 202, "it accepts again")


@pytest.mark.skipif(not LONG, reason="it offers at a pace and takes times: in the long form")
def test_three_times_too_much_is_refused_honestly_and_soon_forgotten(floor: Floor) -> None:
    floor.gate("global", max_waiting=MOST_WAITING)
    label = uuid4().hex
    calm = offered(floor, label, per_s=PER_S / 2, for_s=CALM_S)
    assert set(calm.statuses) == {202}

    loaded = offered(floor, label, per_s=3 * PER_S, for_s=OVERLOAD_S)
    over_s = time.monotonic()

    assert not loaded.unfriendly
    assert set(loaded.statuses) == {202, 429}
    # What was accepted is what could be done, and what may wait.
    assert loaded.statuses[202] <= PER_S * OVERLOAD_S * 1.2 + 2 * MOST_WAITING
    assert loaded.statuses[202] >= PER_S * OVERLOAD_S * 0.5
    timed("the longest Retry-After, in seconds", max(loaded.retry_after_s), at_most=3 * MOST_WAITING / PER_S)
    timed("acceptance under load, 99th percentile in seconds", loaded.p99_s, at_most=3 * max(calm.p99_s, 0.02))
    until(lambda: floor.deployment.ask("POST", "/tasks", NOTHING).status_code == 202, "it accepts again")
    floor.all_over(label)
    timed("all over after the last request, in seconds", time.monotonic() - over_s, at_most=60)


NOTHING = {"kind": "pause_plain", "input": {"seconds": 0}}


def test_a_tenants_quota_stops_that_tenant_alone(floor: Floor) -> None:
    floor.gate("tenant", "second", max_waiting=5)
    floor.gate("global", concurrency=0)
    token = floor.key_of("second")
    body = {"kind": "pause_plain", "input": {"seconds": 0}}

    def as_second(_: int) -> int:
        return floor.deployment.web.post("/tasks", json=body, headers={"Authorization": f"Bearer {token}"}).status_code

    with ThreadPoolExecutor(8) as clients:
        statuses = Counter(clients.map(as_second, range(40)))

    # As many more as the web answers at one moment may slip in.
    assert 5 <= statuses[202] <= 5 + 10 and statuses[202] + statuses[429] == 40
    assert floor.deployment.ask("POST", "/tasks", body).status_code == 202
