"""How far a bulk replay may go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import bulk
from agentapp.policies.bulk import Abort, Done, Progress, Release, Wait


@pytest.mark.parametrize(
    ("waiting", "under_way", "succeeded", "failed", "decision"),
    [
        (10, 0, 0, 0, Release(2)),  # the canary
        (8, 2, 0, 0, Wait()),
        (8, 1, 1, 0, Wait()),
        (8, 0, 1, 0, Release(1)),  # one canary was cancelled: the next takes its place
        (8, 0, 1, 1, Abort("a canary failed again (1 of 2)")),
        (8, 0, 2, 0, Release(5)),  # proven: batches
        (8, 3, 2, 0, Release(2)),
        (8, 5, 2, 0, Wait()),
        (1, 0, 2, 0, Release(1)),
        (8, 4, 2, 1, Release(1)),  # one failure is forgiven
        (8, 0, 3, 2, Abort("2 of 5 failed again")),
        (8, 4, 8, 2, Release(1)),  # a fifth is not more than a fifth
        (8, 4, 8, 3, Abort("3 of 11 failed again")),
        (0, 1, 3, 9, Wait()),  # nothing is left to stop
        (0, 0, 3, 9, Done()),
        (0, 1, 0, 0, Wait()),  # fewer than the canary asks for
        (0, 0, 1, 0, Done()),
        (0, 0, 0, 1, Abort("a canary failed again (1 of 1)")),
    ],
)
def test_what_comes_next(waiting: int, under_way: int, succeeded: int, failed: int, decision: Any) -> None:
    assert bulk.decide(Progress(waiting, under_way, succeeded, failed), canary=2, batch=5) == decision


_few = st.integers(0, 30)


@given(_few, _few, _few, _few, st.integers(1, 9), st.integers(1, 9))
def test_a_decision_is_possible_and_leads_on(
    waiting: int, under_way: int, succeeded: int, failed: int, canary: int, batch: int
) -> None:
    decision = bulk.decide(Progress(waiting, under_way, succeeded, failed), canary=canary, batch=batch)

    if isinstance(decision, Release):
        assert 0 < decision.count <= waiting
        assert under_way + decision.count <= max(canary, batch)
    if isinstance(decision, Wait):
        assert under_way > 0, "it would wait forever"
