"""One tenant's thousands are not in front of another tenant's few. [E5]"""

from __future__ import annotations

import pytest

from tests.acceptance.limits.floor import Floor, p95
from tests.acceptance.scale import sized

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(sized(180, 2400))]

MANY, FEW = sized(500, 10_000), sized(25, 50)
SECONDS = 0.2


def test_many_tasks_of_one_tenant_delay_the_few_of_another_by_no_more_than_three_times(floor: Floor) -> None:
    solo = floor.submit("pause_plain", count=FEW, tenant="second", input={"seconds": SECONDS})
    floor.all_over(solo)
    many = floor.submit("pause_plain", count=MANY, input={"seconds": SECONDS})
    few = floor.submit("pause_plain", count=FEW, tenant="second", input={"seconds": SECONDS})
    floor.all_over(few)
    left = floor.tasks(many).filter(finished_at=None).count()
    floor.all_over(many, deadline_s=sized(60, 1200))

    # Far more than its few were in front of them all the time.
    assert left > 4 * FEW
    assert p95(floor.times_s(few)) <= 3 * p95(floor.times_s(solo))
