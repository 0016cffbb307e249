"""A model's pace over four processes, with a flush of the broker in the middle: used, and never exceeded. [E2]

What is paced is the claim: the rows tell when that was. In the long form the model server enforces the same limit, with
a burst that is larger by what one process may be late by.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from agentapp.drill.limiting import GRAIN_S
from agentapp.models import Attempt, Limit
from tests.acceptance.deployment import until
from tests.acceptance.limits.floor import FLOOR, Floor
from tests.acceptance.scale import LONG, patient_s, sized, timed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

PER_MIN = sized(600, 60)
FOR_S = sized(8, 180)
WINDOW = timedelta(seconds=sized(3, 60))
BURST = 5
LATE = 2


def test_the_pace_of_a_model_is_kept_and_used(floor: Floor) -> None:
    step_s = 60 / PER_MIN
    count = BURST + int(FOR_S / step_s)
    # A first call, so that no process loads its client within the measurement.
    floor.all_over(floor.submit("ask_once", count=32))
    floor.deployment.reset()
    if LONG:
        floor.deployment.model.put("/_control/limits", json={"requests_per_min": PER_MIN, "burst": BURST + LATE})
    floor.gate("model", "offline", requests_per_min=PER_MIN, request_burst=BURST)
    try:
        label = floor.submit("ask_once", count=count)
        until(lambda: floor.tasks(label).filter(state="completed").count() > count / 2, "half is done")
        floor.deployment.broker.flushall()
        floor.all_over(label, deadline_s=patient_s(FOR_S + 30))
        asked = floor.deployment.model.get("/_control/requests").json()["requests"]
    finally:
        floor.deployment.model.delete("/_control/limits")

    assert [request["status"] for request in asked] == [200] * count
    started = Attempt.objects.using(FLOOR).filter(job__workflow__in=floor.tasks(label)).order_by("started_at")
    times = list(started.values_list("started_at", flat=True))
    for first, start in enumerate(times):
        within = sum(1 for at in times[first:] if at < start + WINDOW)
        assert within <= (WINDOW.total_seconds() + GRAIN_S) / step_s + BURST
    took_s = (times[-1] - times[0]).total_seconds()
    timed("how many times as long it took as it may", took_s / ((count - BURST) * step_s), at_most=1 / 0.95)
    assert all(job.attempt == 1 for job in floor.jobs(workflow__in=floor.tasks(label)))


def test_a_provider_that_says_429_stops_all_processes_for_as_long_as_it_asks(floor: Floor) -> None:
    """No gate is set: the provider alone knows its limit."""
    floor.all_over(floor.submit("ask_once", count=16))
    floor.deployment.reset()
    floor.deployment.fail("status", status=429, retry_after_s=3, times=1)
    label = floor.submit("ask_once", count=1)
    told = Attempt.objects.using(FLOOR).filter(job__workflow__in=floor.tasks(label), outcome="failed")
    until(told.exists, "it was told to wait")

    others = floor.submit("ask_once", count=10)
    floor.all_over(label, others)

    (refused, *answered) = floor.deployment.model.get("/_control/requests").json()["requests"]
    assert (refused["status"], {request["status"] for request in answered}) == (429, {200})
    closed_until = Limit.objects.using(FLOOR).get(key="model:offline").closed_until
    later = Attempt.objects.using(FLOOR).filter(job__workflow__in=floor.tasks(others))
    assert closed_until and closed_until <= min(later.values_list("started_at", flat=True))
    assert all(job.attempt == 1 for job in floor.jobs(workflow__in=floor.tasks(others)))
