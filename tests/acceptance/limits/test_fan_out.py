"""A wide fan-out under a narrow gate keeps it busy, and does not flood the broker. [E1] [E3]"""

from __future__ import annotations

from uuid import uuid4

import pytest

from agentapp.observability import events
from tests.acceptance.deployment import until
from tests.acceptance.limits.floor import SLOTS, Floor
from tests.acceptance.limits.watch import Watch
from tests.acceptance.scale import sized, timed
from tests.agents import record

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

PARTS, CAP, SECONDS = 100, 8, sized(1, 5) / 5
# A job before the fan-out.
OTHERS = 1


def published_again(floor: Floor) -> int:
    """How many messages the dispatchers have published once more."""
    logs = [floor.deployment.log(name) for name in ("dispatcher", "dispatcher_b")]
    return sum(log.count(events.CATALOGUE["publish.repeated"]) for log in logs)


def test_a_hundred_parts_under_a_limit_of_eight_keep_eight_busy(floor: Floor) -> None:
    floor.gate("model", "offline", concurrency=CAP)
    before, lost_before, word = floor.messages(), published_again(floor), uuid4().hex
    with Watch(floor.deployment, {"model:offline": CAP}, slots=SLOTS) as watch:
        label = floor.submit("pause_parts", count=1, input={"seconds": SECONDS, "parts": PARTS, "word": word})
        until(lambda: watch.most["model:offline"] >= CAP, "as many run as may")
        record.say(floor.deployment.broker, word)
        floor.all_over(label)

    assert watch.most["model:offline"] == CAP
    # Those that a busy machine has not claimed within a second are taken for lost.
    lost = published_again(floor) - lost_before
    assert floor.messages() - before - OTHERS - lost <= 1.2 * PARTS
    (took_s,) = floor.times_s(label)
    timed("the fan-out, in seconds", took_s, at_most=1.15 * -(-PARTS // CAP) * SECONDS)
