"""Four processes, mixed jobs, all five limits, and kills: no limit is ever exceeded, no slot is idle for long. [E1]"""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db.models.functions import Now

from tests.acceptance.deployment import LEASE_S, until
from tests.acceptance.limits.floor import SLOTS, WORKERS, Floor
from tests.acceptance.limits.watch import Watch
from tests.acceptance.scale import dice, patient_s, sized, timed
from tests.agents import record

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 1800))]

# With the limit that each kind comes to, also where those before it hold their slots.
KINDS = {"pause_with_tool": "tool:probe", "pause_with_model": "model:offline", "pause_plain": "job_type:pause_plain"}
EACH = sized(60, 2000)
SECONDS = 0.15
KILLS = sized(4, 60)
# The tool's three slots alone need a hundred seconds for the long form.
DEADLINE_S = sized(200, 600)
LOOKS = 200


def caps(floor: Floor) -> dict[str, int]:
    """Set five gates and return them by key; each is the narrowest for some of the jobs."""
    limits = {"global": 12, "job_type:pause_plain": 5, "model:offline": 6, "tool:probe": 3}
    for key, cap in limits.items():
        scope, _, name = key.partition(":")
        floor.gate(scope, name or "global", concurrency=cap)
    floor.gate("tenant", "second", concurrency=4)
    floor.gate("tenant", "*", concurrency=9)
    floor.key_of("second")
    with floor.deployment.sql() as session:
        rows = session.execute("SELECT id, slug FROM agentapp_tenant").fetchall()
    return limits | {f"tenant:{tenant}": 4 if slug == "second" else 9 for tenant, slug in rows}


def load(floor: Floor, each: int, *kinds: str, word: str = "") -> list[str]:
    return [
        floor.submit(kind, count=each // 2, tenant=tenant, input={"seconds": SECONDS, "word": word})
        for kind in kinds
        for tenant in ("", "second")
    ]


def test_no_limit_is_exceeded_and_no_slot_is_idle(floor: Floor) -> None:
    limits, word, labels = caps(floor), uuid4().hex, list[str]()
    with Watch(floor.deployment, limits, slots=SLOTS) as watch:
        for kind, key in KINDS.items():
            labels += load(floor, EACH, kind, word=word)
            # Each limit is reached, so each has the chance to be exceeded.
            until(lambda key=key: watch.most[key] >= limits[key], f"as many of {key} run as may")  # type: ignore[misc]
        record.say(floor.deployment.broker, word)
        floor.all_over(*labels, deadline_s=DEADLINE_S)
        until(lambda: watch.looks > LOOKS, "it was looked often enough")

    assert {key: most for key, most in watch.most.items() if most > limits[key]} == {}
    timed("the longest time that a slot was idle beside work for it, in seconds", watch.idle_s, at_most=1.0)


def test_kills_leak_no_slot(floor: Floor) -> None:
    limits = caps(floor)
    thrown = dice("five limits")
    with Watch(floor.deployment, limits, slots=SLOTS) as watch:
        labels = load(floor, EACH, *KINDS)
        tasks = [task for label in labels for task in floor.task_ids(label)]
        # A busy machine is killed as often: not after so long, but after so much.
        for ended in sorted(thrown.uniform(0, 0.8) * len(tasks) for _ in range(KILLS)):
            until(lambda ended=ended: over(labels, floor) >= ended, f"{ended:.0f} tasks are over")  # type: ignore[misc]
            floor.kill(thrown.choice(WORKERS))
        # Nobody else would end a lease: what the dead held is free within it and two seconds.
        until(
            lambda: not floor.jobs(state="running", lease_expires_at__lt=Now()),
            "slots of the dead are free", deadline_s=patient_s(LEASE_S + 2),
        )  # fmt: skip
        floor.all_over(*labels, deadline_s=DEADLINE_S)

    assert {key: most for key, most in watch.most.items() if most > limits[key]} == {}
    assert all(floor.tasks(label).exclude(state="completed").count() == 0 for label in labels)


def over(labels: list[str], floor: Floor) -> int:
    return sum(floor.tasks(label).exclude(finished_at=None).count() for label in labels)
