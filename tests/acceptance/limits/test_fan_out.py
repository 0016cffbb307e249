"""A wide fan-out under a narrow gate keeps it busy, and does not flood the broker. [E1] [E3]"""

from __future__ import annotations

import pytest

from tests.acceptance.limits.floor import SLOTS, Floor
from tests.acceptance.limits.watch import Watch
from tests.acceptance.scale import sized, timed

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(300)]

PARTS, CAP, SECONDS = 100, 8, sized(1, 5) / 5
# A job before the fan-out.
OTHERS = 1


def test_a_hundred_parts_under_a_limit_of_eight_keep_eight_busy(floor: Floor) -> None:
    floor.gate("model", "offline", concurrency=CAP)
    before = floor.messages()
    with Watch(floor.deployment, {"model:offline": CAP}, slots=SLOTS) as watch:
        label = floor.submit("pause_parts", count=1, input={"seconds": SECONDS, "parts": PARTS})
        floor.all_over(label)

    assert watch.most["model:offline"] == CAP
    assert floor.messages() - before - OTHERS <= 1.2 * PARTS
    (took_s,) = floor.times_s(label)
    timed("the fan-out, in seconds", took_s, at_most=1.15 * -(-PARTS // CAP) * SECONDS)
