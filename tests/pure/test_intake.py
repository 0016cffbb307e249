"""What a client is told when many wait: honest numbers from measured rates. [A8]"""

from __future__ import annotations

import pytest

from agentapp.policies import intake
from agentapp.policies.intake import Crowd


@pytest.mark.parametrize(
    ("crowd", "seconds"),
    [
        (Crowd(refused="tenant", waiting=100, most=100, per_s=2.0), 1),
        (Crowd(refused="tenant", waiting=119, most=100, per_s=2.0), 10),
        (Crowd(refused="house", house_waiting=1_000, house_most=901, house_per_s=10.0), 10),
        # Its own rate is not known yet: an equal share of all.
        (Crowd(refused="tenant", waiting=109, most=100, house_per_s=10.0, tenants=9), 10),
        (Crowd(refused="tenant", waiting=100, most=100), intake.UNKNOWN_WAIT_S),
        (Crowd(refused="house", house_waiting=10**9, house_most=1, house_per_s=0.1), intake.LONGEST_WAIT_S),
    ],
)
def test_retry_after_is_when_one_more_should_be_accepted(crowd: Crowd, seconds: int) -> None:
    assert intake.retry_after_s(crowd) == seconds


def test_below_the_soft_mark_nobody_is_told_to_be_late() -> None:
    assert intake.starts_in_s(Crowd(waiting=9, house_waiting=9, per_s=1.0), soft_mark=10) is None


def test_past_the_soft_mark_a_task_is_told_when_its_own_tenants_turn_comes() -> None:
    crowded = Crowd(waiting=19, house_waiting=500, per_s=2.0, house_per_s=50.0, tenants=49)

    assert intake.starts_in_s(crowded, soft_mark=100) == 10.0
    assert intake.starts_in_s(Crowd(house_waiting=500), soft_mark=100) is None


def test_what_is_left_is_the_smaller_of_both_marks() -> None:
    assert Crowd(waiting=10, most=50, house_waiting=95, house_most=100).left == 5
    assert Crowd(waiting=60, most=50, house_waiting=0, house_most=100).left == 0
