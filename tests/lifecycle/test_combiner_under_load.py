"""Many threads at once: each call gets its own answer or its own error, and the lane is empty afterwards."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from agentapp.errors import Unavailable
from agentapp.lifecycle.combiner import Combiner
from tests.lifecycle.calling import LONGEST_S, is_free

THREADS, CALLS = 16, 250


class Refused(Exception):
    """The error of one item."""


@pytest.fixture(autouse=True)
def often_switched() -> Iterator[None]:
    """Let threads meet in as many places as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@dataclass
class Table:
    """Rows that a move changes all together or not at all; what becomes of a request is told by its number."""

    random: random.Random
    made: Counter[int] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    outages: int = 0
    made_alone: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, batch: Sequence[int]) -> list[str | None]:
        with self.lock:
            self.sizes[len(batch)] += 1
            fate = self.random.random()
            passed_over = {request for request in batch if self.random.random() < 0.05}
            self.outages += fate < 0.03
        if fate < 0.03:
            raise Unavailable("away")
        # Only one in three: the others must meet in the line.
        if fate > 0.7:
            time.sleep(0.0003)
        for request in batch:
            if is_refused(request) and request not in passed_over:
                raise Refused(request)
        with self.lock:
            self.made.update(set(batch) - passed_over)
        return [None if request in passed_over else f"{request}!" for request in batch]

    def alone(self, request: int) -> str:
        if is_refused(request):
            raise Refused(request)
        with self.lock:
            self.made[request] += 1
            self.made_alone += 1
        return f"{request}!"


def is_refused(request: int) -> bool:
    return request % 41 == 0


def patiently(combiner: Combiner[int, str], request: int) -> str:
    while True:
        try:
            return combiner(request)
        except Unavailable:
            continue
        except Refused as error:
            return f"refused {error}"


@pytest.mark.parametrize("seed", range(3))
def test_each_call_gets_its_own_and_nothing_is_made_twice(seed: int) -> None:
    table = Table(random.Random(seed))
    combiner, came = Combiner(table.make, table.alone, most=8), dict[int, str]()

    def work(first: int) -> None:
        for request in range(first, first + CALLS):
            came[request] = patiently(combiner, request)

    threads = [threading.Thread(target=work, args=(CALLS * each,), daemon=True) for each in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST_S)

    requests = range(THREADS * CALLS)
    assert not [thread for thread in threads if thread.is_alive()]
    assert came == {each: f"refused {each}" if is_refused(each) else f"{each}!" for each in requests}
    assert table.made == Counter(each for each in requests if not is_refused(each))
    assert is_free(combiner)
    # Otherwise nothing was shown.
    assert table.outages
    assert table.made_alone
    assert max(table.sizes) > 2
