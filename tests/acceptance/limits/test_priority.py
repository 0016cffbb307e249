"""Urgent work overtakes what waits, published or not, and no class is stopped for ever. [E4]"""

from __future__ import annotations

import statistics
import time
from uuid import uuid4

import pytest

from agentapp.policies import priority
from tests.acceptance.deployment import until
from tests.acceptance.limits.floor import AGEING_S, SLOTS, Floor, p95
from tests.acceptance.scale import sized

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(sized(180, 1200))]

LOW, URGENT = sized(500, 5000), sized(25, 50)
SECONDS = 0.2


def test_urgent_jobs_do_not_wait_behind_a_long_backlog(floor: Floor) -> None:
    low = floor.submit("pause_plain", count=LOW, priority="low", input={"seconds": SECONDS})
    urgent = floor.submit("pause_plain", count=URGENT, priority="urgent", input={"seconds": SECONDS})
    floor.all_over(urgent, deadline_s=60)
    left = floor.tasks(low).filter(finished_at=None).count()
    floor.all_over(low, deadline_s=sized(60, 600))

    # Far more than came late were in front of them all the time.
    assert left > 4 * URGENT
    assert p95(floor.waits_s(urgent)) <= 2.0
    assert statistics.median(floor.waits_s(low)) > p95(floor.waits_s(urgent))


def test_the_low_class_is_never_stopped_longer_than_the_published_bound(floor: Floor) -> None:
    """Urgent work without end: more than all slots can do. AGENTAPP_AGEING_S of this deployment is two seconds."""
    bound_s = priority.longest_stop_s(ageing_s=AGEING_S)
    low = floor.submit("pause_plain", count=20, priority="low", input={"seconds": 0.05})
    urgent, over_at = uuid4().hex, time.monotonic() + bound_s + sized(6, 30)
    waiting = floor.tasks(urgent).filter(state="pending")
    while time.monotonic() < over_at:
        floor.submit("pause_plain", count=SLOTS, priority="urgent", label=urgent, input={"seconds": SECONDS})
        until(lambda: waiting.count() < 2 * SLOTS, "the slots are busy", poll_s=0.01)
    began = sorted(floor.tasks(low).exclude(started_at=None).values_list("started_at", flat=True))
    first = min(floor.tasks(low).values_list("created_at", flat=True))

    # Overdue after the bound, each of them then gets one choice in five.
    stops = [(later - earlier).total_seconds() for earlier, later in zip([first, *began], began, strict=False)]
    assert len(began) > 5
    assert max(stops) <= bound_s + 2
    floor.all_over(low, urgent, deadline_s=90)
