"""One tenant's thousands are not in front of another tenant's few. [E5]"""

from __future__ import annotations

import statistics

import pytest

from agentapp.policies.ordering import TURN_AFTER
from tests.acceptance.limits.floor import SLOTS, Floor, p95
from tests.acceptance.limits.looks import written_down
from tests.acceptance.scale import LONG, sized, timed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 2400))]

MANY, FEW = sized(90, 10_000), sized(25, 50)
BEGUN = sized(80, 200)
WORK = {"pause_plain": {"seconds": 0.1}, "fetch_parts": {"seconds": 0.05, "parts": 3}}


@pytest.mark.parametrize("kind", WORK)
def test_the_few_of_one_tenant_take_turns_with_the_many_of_another(floor: Floor, kind: str) -> None:
    floor.key_of("second")
    with written_down(floor.deployment) as looks:
        with floor.closed():
            many = floor.submit(kind, count=MANY, input=WORK[kind])
            few = floor.submit(kind, count=FEW, tenant="second", input=WORK[kind])
        floor.all_over(few)

    # Turn and turn about, and what had a slot already.
    admitted = looks.begun_before_last(floor.task_ids(many), others=floor.task_ids(few))
    assert FEW / 2 <= admitted <= FEW + SLOTS, floor.course_of_last(few)
    # So they begin and end. A worker that stands still for a moment delays some of them: so as far as their half.
    assert floor.begun_before(many, half_of=few) <= FEW + SLOTS, floor.course_of_last(few)
    assert floor.ended_before(many, half_of=few) <= FEW + SLOTS


@pytest.mark.skipif(not LONG, reason="it takes the time of tasks: in the long form")
@pytest.mark.parametrize("kind", WORK)
def test_many_tasks_of_one_tenant_delay_the_few_of_another_by_no_more_than_three_times(floor: Floor, kind: str) -> None:
    def few_s() -> float:
        """The 95th percentile of what the few took: of three times the median, because each takes a second only."""
        taken = []
        for _ in range(3):
            few = floor.submit(kind, count=FEW, tenant="second", input=WORK[kind])
            floor.all_over(few)
            taken.append(p95(floor.times_s(few)))
        return statistics.median(taken)

    alone_s = few_s()
    # Where clients bring them more slowly than workers do them, nothing would be in front of the few.
    with floor.closed():
        many = floor.submit(kind, count=MANY, input=WORK[kind])
    beside_s = few_s()
    left = floor.tasks(many).filter(finished_at=None).count()
    floor.all_over(many, deadline_s=1200)

    # Far more than its few were in front of them all the time.
    assert left > 4 * FEW
    timed(f"{kind}: how many times as long {FEW} tasks took beside {MANY}", beside_s / alone_s, at_most=3)


def test_what_was_begun_is_finished_before_more_is_begun(floor: Floor) -> None:
    """Though its parts are in another queue than its first step, and other tasks have waited there for longer."""
    with written_down(floor.deployment) as looks:
        with floor.closed():
            many = floor.submit("fetch_parts", count=BEGUN, input={"seconds": 0.1, "parts": 2})
        floor.all_over(many)

    # One choice in five is that of who has waited for too long.
    assert len(looks.published) > BEGUN
    assert len(looks.overtaken()) <= len(looks.published) / (TURN_AFTER + 1) + 1
