"""What a client is told when many wait: honest numbers from measured rates. [A8]"""

from __future__ import annotations

import pytest

from agentapp.policies import intake
from agentapp.policies.intake import QueuePressure


@pytest.mark.parametrize(
    ("pressure", "seconds"),
    [
        (QueuePressure(refused="tenant", waiting=100, most=100, per_s=2.0), 1),
        (QueuePressure(refused="tenant", waiting=119, most=100, per_s=2.0), 10),
        (QueuePressure(refused="platform", platform_waiting=1_000, platform_most=901, platform_per_s=10.0), 10),
        # Its own rate is not known yet: an equal share of all.
        (QueuePressure(refused="tenant", waiting=109, most=100, platform_per_s=10.0, tenants=9), 10),
        (QueuePressure(refused="tenant", waiting=100, most=100), intake.UNKNOWN_WAIT_S),
        (
            QueuePressure(refused="platform", platform_waiting=10**9, platform_most=1, platform_per_s=0.1),
            intake.LONGEST_WAIT_S,
        ),
    ],
)
def test_retry_after_is_when_one_more_should_be_accepted(pressure: QueuePressure, seconds: int) -> None:
    assert intake.retry_after_s(pressure) == seconds


def test_below_the_soft_mark_nobody_is_told_to_be_late() -> None:
    assert intake.starts_in_s(QueuePressure(waiting=9, platform_waiting=9, per_s=1.0), soft_mark=10) is None


def test_past_the_soft_mark_a_task_is_told_when_its_own_tenants_turn_comes() -> None:
    crowded = QueuePressure(waiting=19, platform_waiting=500, per_s=2.0, platform_per_s=50.0, tenants=49)

    assert intake.starts_in_s(crowded, soft_mark=100) == 10.0
    assert intake.starts_in_s(QueuePressure(platform_waiting=500), soft_mark=100) is None


def test_what_is_left_is_the_smaller_of_both_marks() -> None:
    assert QueuePressure(waiting=10, most=50, platform_waiting=95, platform_most=100).left == 5
    assert QueuePressure(waiting=60, most=50, platform_waiting=0, platform_most=100).left == 0
