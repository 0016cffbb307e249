"""A model's pace over four processes, with a flush of the broker in the middle: used, and never exceeded. [E2]

The model server enforces the same limit. Its burst is larger by what one process may be late by.
"""

from __future__ import annotations

import pytest

from tests.acceptance.deployment import until
from tests.acceptance.limits.floor import Floor
from tests.acceptance.scale import LONG, sized

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(sized(120, 400))]

PER_MIN = sized(600, 60)
FOR_S = sized(20, 180)
WINDOW_S = 60.0 if LONG else 5.0
BURST = 5
LATE = 2


def test_the_pace_of_a_model_is_kept_and_used(floor: Floor) -> None:
    step_s = 60 / PER_MIN
    count = BURST + int(FOR_S / step_s)
    # A first call, so that no process loads its client within the measurement.
    floor.all_over(floor.submit("ask_once", count=32))
    floor.deployment.reset()
    floor.deployment.model.put("/_control/limits", json={"requests_per_min": PER_MIN, "burst": BURST + LATE})
    floor.gate("model", "offline", requests_per_min=PER_MIN, request_burst=BURST)
    try:
        label = floor.submit("ask_once", count=count)
        until(
            lambda: floor.tasks(label).filter(state="completed").count() > count / 2, "half is done", deadline_s=FOR_S
        )
        floor.deployment.broker.flushall()
        floor.all_over(label, deadline_s=FOR_S + 30)
        asked = floor.deployment.model.get("/_control/requests").json()["requests"]
    finally:
        floor.deployment.model.delete("/_control/limits")

    assert [request["status"] for request in asked] == [200] * count
    times = sorted(request["at_s"] for request in asked)
    for first, start in enumerate(times):
        within = sum(1 for at_s in times[first:] if at_s < start + WINDOW_S)
        assert within <= WINDOW_S / step_s + BURST + LATE
    used = (count - BURST) * step_s / (times[-1] - times[0])
    assert used >= 0.95
    assert all(job.attempt == 1 for job in floor.jobs(workflow__in=floor.tasks(label)))


def test_a_provider_that_says_429_stops_all_processes_for_as_long_as_it_asks(floor: Floor) -> None:
    """No gate is set: the provider alone knows its limit."""
    floor.all_over(floor.submit("ask_once", count=16))
    floor.deployment.reset()
    floor.deployment.fail("status", status=429, retry_after_s=3, times=1)
    label = floor.submit("ask_once", count=1)
    until(lambda: floor.jobs(workflow__in=floor.tasks(label), state="retryable"), "it was told to wait")

    others = floor.submit("ask_once", count=10)
    floor.all_over(label, others)

    (refused, *answered) = floor.deployment.model.get("/_control/requests").json()["requests"]
    assert min(request["at_s"] for request in answered) >= refused["at_s"] + 2.9
    assert all(job.attempt == 1 for job in floor.jobs(workflow__in=floor.tasks(others)))
