"""The retry policy: what follows a failed attempt. [F1] [F2]"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies.classify import ErrorKind
from agentapp.policies.retry import BACKOFF_S, GiveUp, RetryIn, RetryPolicy, decide, with_jitter
from tests.pure import quick

TRANSIENT = ErrorKind.TRANSIENT
waits = st.floats(min_value=0, max_value=86_400)


def test_the_default_waits_10_s_30_s_2_min_10_min_and_then_gives_up() -> None:
    decisions = [decide(RetryPolicy(), attempt=attempt, kind=TRANSIENT) for attempt in (1, 2, 3, 4, 5)]

    assert decisions == [RetryIn(10), RetryIn(30), RetryIn(120), RetryIn(600), GiveUp("attempts exhausted")]


def test_the_default_is_five_executions() -> None:
    assert RetryPolicy().max_attempts == len(BACKOFF_S) + 1 == 5


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not TRANSIENT])
@pytest.mark.parametrize("attempt", [1, 2, 5])
def test_what_cannot_get_better_is_never_tried_again(kind: ErrorKind, attempt: int) -> None:
    assert decide(RetryPolicy(), attempt=attempt, kind=kind, retry_after_s=1) == GiveUp(kind.value)


def test_a_longer_retry_after_wins_over_the_table() -> None:
    assert decide(RetryPolicy(), attempt=1, kind=TRANSIENT, retry_after_s=90) == RetryIn(90)


def test_a_shorter_retry_after_does_not_shorten_the_table() -> None:
    assert decide(RetryPolicy(), attempt=3, kind=TRANSIENT, retry_after_s=5) == RetryIn(120)


def test_retry_after_does_not_add_attempts() -> None:
    assert decide(RetryPolicy(), attempt=5, kind=TRANSIENT, retry_after_s=1) == GiveUp("attempts exhausted")


def test_the_last_wait_of_a_table_repeats() -> None:
    policy = RetryPolicy(max_attempts=5, backoff_s=(1, 2))

    assert [policy.wait_before(attempt) for attempt in (2, 3, 4, 5)] == [1, 2, 2, 2]


@quick
@given(
    attempt=st.integers(1, 50), most=st.integers(1, 20), table=st.lists(waits, min_size=1, max_size=6),
    asked=st.none() | waits,
)  # fmt: skip
def test_no_policy_exceeds_its_attempts_or_undercuts_a_wait(
    attempt: int, most: int, table: list[float], asked: float | None
) -> None:
    policy = RetryPolicy(max_attempts=most, backoff_s=tuple(table))

    decision = decide(policy, attempt=attempt, kind=TRANSIENT, retry_after_s=asked)

    if attempt >= most:
        assert decision == GiveUp("attempts exhausted")
    else:
        assert isinstance(decision, RetryIn)
        assert decision.seconds >= policy.wait_before(attempt + 1)
        assert decision.seconds >= (asked or 0)


@quick
@given(seconds=waits, fraction=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_jitter_only_lengthens_and_by_a_tenth_at_most(seconds: float, fraction: float) -> None:
    assert seconds <= with_jitter(seconds, fraction=fraction) <= seconds * 1.1
