"""Meters of pace: never more than the rate and the burst in any window. [E2]"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import pace
from tests.pure import quick

steps = st.floats(min_value=0.001, max_value=60)
bursts = st.integers(1, 50)
aheads = st.floats(min_value=-100, max_value=1_000)


def test_a_meter_that_rests_lets_the_burst_pass() -> None:
    assert pace.room(ahead_s=0, step_s=0.5, burst=4) == 4
    assert pace.room(ahead_s=-100, step_s=0.5, burst=4) == 4


@pytest.mark.parametrize(
    ("ahead_s", "room", "opens_in_s"), [(0.5, 3, 0), (1.2, 1, 0), (1.5, 1, 0), (1.6, 0, 0.1), (2, 0, 0.5), (9, 0, 7.5)]
)
def test_what_has_passed_leaves_less_room(ahead_s: float, room: int, opens_in_s: float) -> None:
    assert pace.room(ahead_s=ahead_s, step_s=0.5, burst=4) == room
    assert pace.opens_in_s(ahead_s=ahead_s, step_s=0.5, burst=4) == pytest.approx(opens_in_s)


def test_what_takes_more_than_the_burst_passes_alone() -> None:
    assert pace.room(ahead_s=0, step_s=0.01, burst=100, each=250) == 1
    assert pace.room(ahead_s=0.1, step_s=0.01, burst=100, each=250) == 0
    assert pace.opens_in_s(ahead_s=0.1, step_s=0.01, burst=100, each=250) == pytest.approx(0.1)


def test_what_takes_nothing_waits_only_for_a_meter_that_is_overdrawn() -> None:
    """A job type of which nobody knows yet how many tokens it uses. A claim refuses it by the same rule."""
    assert pace.room(ahead_s=1, step_s=0.01, burst=100, each=0) == pace.ANY_NUMBER
    assert pace.room(ahead_s=3, step_s=0.01, burst=100, each=0) == 0
    assert pace.opens_in_s(ahead_s=3, step_s=0.01, burst=100, each=0) == pytest.approx(2)


@quick
@given(ahead_s=aheads, step_s=steps, burst=bursts, each=st.integers(0, 80))
def test_there_is_room_exactly_when_it_opens_now(ahead_s: float, step_s: float, burst: int, each: int) -> None:
    opens_in_s = pace.opens_in_s(ahead_s=ahead_s, step_s=step_s, burst=burst, each=each)

    assert (pace.room(ahead_s=ahead_s, step_s=step_s, burst=burst, each=each) > 0) == (opens_in_s == 0)
    assert pace.room(ahead_s=max(ahead_s, 0) - opens_in_s, step_s=step_s, burst=burst, each=each) > 0


@quick
@given(ahead_s=aheads, step_s=steps, burst=bursts, each=st.integers(1, 80))
def test_as_many_as_there_is_room_for_pass_one_by_one(ahead_s: float, step_s: float, burst: int, each: int) -> None:
    room = pace.room(ahead_s=ahead_s, step_s=step_s, burst=burst, each=each)

    for passed in range(room):
        then_s = max(ahead_s, 0) + passed * each * step_s
        assert pace.opens_in_s(ahead_s=then_s, step_s=step_s, burst=burst, each=each) <= 2 * pace.GRAIN_S


@quick
@given(
    step_s=steps, burst=bursts, calls=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 60)), min_size=1, max_size=30)
)  # fmt: skip
def test_no_window_lets_more_pass_than_its_length_and_the_burst_allow(
    step_s: float, burst: int, calls: list[tuple[float, int]]
) -> None:
    now_s = meter_s = 0.0
    passed: list[tuple[float, int]] = []
    for wait_steps, each in calls:
        now_s += wait_steps * step_s
        if pace.room(ahead_s=meter_s - now_s, step_s=step_s, burst=burst, each=each) > 0:
            meter_s = max(meter_s, now_s) + each * step_s
            passed.append((now_s, each))

    for first, (begin_s, _) in enumerate(passed):
        for last, (end_s, _) in enumerate(passed[first:], start=first):
            taken = [each for _, each in passed[first : last + 1]]
            allowed = (end_s - begin_s) / step_s + max(burst, max(taken))
            assert sum(taken) <= allowed + pace.GRAIN_S / step_s + 1e-6
