"""Urgent work overtakes what waits, published or not, and no class is stopped forever. [E4]"""

from __future__ import annotations

import itertools
from datetime import timedelta
from uuid import uuid4

import pytest

from agentapp.models import Workflow
from agentapp.policies import priority
from tests.acceptance.deployment import until
from tests.acceptance.limits.floor import AGEING_S, FLOOR, SLOTS, Floor, p95
from tests.acceptance.limits.looks import written_down
from tests.acceptance.scale import LONG, patient_s, sized, timed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 1200))]

LOW, URGENT = sized(80, 5000), sized(25, 50)
SECONDS = 0.2
# Beside urgent work alone, an overdue job gets one choice in five.
ONE_IN = 5
BOUND_S = priority.longest_stop_s(ageing_s=AGEING_S)
# Once they are overdue, each of them has one choice in five; a choice is not yet a start, so twice as many.
MOST_BETWEEN = 2 * ONE_IN + SLOTS
# So long that the clients of a slow machine, too, bring more urgent work than the slots can do.
URGENT_S = 1.0


def test_urgent_jobs_go_before_those_that_were_there_first(floor: Floor) -> None:
    with written_down(floor.deployment) as looks:
        with floor.closed():
            low = floor.submit("pause_plain", count=LOW, priority="low", input={"seconds": SECONDS})
            urgent = floor.submit("pause_plain", count=URGENT, priority="urgent", input={"seconds": SECONDS})
        floor.all_over(urgent)

    # The share of what is overdue by then, and what a worker had in its hands. A worker that stands still for a moment
    # delays some that it has: so they begin as far as their half.
    share = URGENT / (ONE_IN - 1) + SLOTS
    assert looks.begun_before_last(floor.task_ids(low), others=floor.task_ids(urgent)) <= share
    assert floor.begun_before(low, half_of=urgent) <= share


@pytest.mark.skipif(not LONG, reason="it takes the time that tasks wait: in the long form")
def test_urgent_jobs_do_not_wait_behind_a_long_backlog(floor: Floor) -> None:
    # Where clients bring them more slowly than workers do them, nothing would be in front of the urgent ones.
    with floor.closed():
        low = floor.submit("pause_plain", count=LOW, priority="low", input={"seconds": SECONDS})
    urgent = floor.submit("pause_plain", count=URGENT, priority="urgent", input={"seconds": SECONDS})
    floor.all_over(urgent)
    left = floor.tasks(low).filter(finished_at=None).count()
    floor.all_over(low, deadline_s=600)

    # Far more than came late were in front of them all the time.
    assert left > 4 * URGENT
    timed("the wait of urgent tasks, 95th percentile in seconds", p95(floor.waits_s(urgent)), at_most=2.0)


def test_the_low_class_is_never_stopped_longer_than_the_published_bound(floor: Floor) -> None:
    """Urgent work without end: more than all slots can do. AGENTAPP_AGEING_S of this deployment is two seconds."""
    urgent, low, count = uuid4().hex, uuid4().hex, sized(20, 40)
    waiting, begun = floor.tasks(urgent).filter(state="pending"), floor.tasks(low).exclude(started_at=None)

    def more_urgent_work() -> None:
        # A slow machine never gets ahead of its slots: it stops where nothing is left to overtake.
        while waiting.count() < 3 * SLOTS and begun.count() < count:
            floor.submit("pause_plain", count=SLOTS, priority="urgent", label=urgent, input={"seconds": URGENT_S})

    with floor.closed():
        more_urgent_work()
        floor.submit("pause_plain", count=count, priority="low", label=low, input={"seconds": 0.05})
    overdue_at = floor.tasks(low).latest("created_at").created_at + timedelta(seconds=BOUND_S)

    def all_have_begun() -> bool:
        more_urgent_work()
        if begun.count() == count:
            return True
        assert floor.tasks(urgent).filter(started_at__gt=overdue_at).count() <= count * MOST_BETWEEN
        return False

    until(all_have_begun, "all of the low class have begun", deadline_s=300)
    starts = Workflow.objects.using(FLOOR).filter(labels__load__in=[low, urgent], started_at__gt=overdue_at)
    order = list(starts.order_by("started_at").values_list("labels__load", flat=True))
    places = [0, *(place for place, label in enumerate(order) if label == low)]
    assert len(places) > 1, "none of them was overdue: this run has shown nothing"
    assert all(later - earlier <= MOST_BETWEEN for earlier, later in itertools.pairwise(places))
    floor.all_over(low, urgent, deadline_s=patient_s(90))
