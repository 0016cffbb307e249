"""No class is stopped for longer than the published bound, and urgent work is slowed by a fifth at most. [E4]"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from agentapp.policies import priority
from agentapp.policies.backlog import Lane, Limit, Turns
from tests.pure import quick
from tests.pure.backlogs import AGEING_S, admitted, decide, lane, many, room_for

# Each example is a life of its own.
lives = settings(quick, max_examples=15)
BOUND_S = priority.longest_stop_s(ageing_s=AGEING_S)
PASS_S = 5
URGENT = many(1, "urgent")
# In each pass there is room for so many more; the pattern repeats.
rooms = st.lists(st.integers(1, 7), min_size=1, max_size=5).map(lambda pattern: (pattern * 40)[:40])
# When the jobs of a class come.
moments = st.lists(st.integers(0, 40 * PASS_S), max_size=8).map(sorted)


class Class:
    """The jobs of one class, and for how long it was stopped at most."""

    def __init__(self, level: str, came_s: list[int]) -> None:
        self.level = level
        self.came_s = came_s
        self.last_s = 0
        self.stopped_s = 0

    def lane(self, now_s: int) -> Lane:
        return lane(2, self.level, ages=[now_s - at_s for at_s in self.came_s[:20] if at_s <= now_s])

    def admit(self, count: int, now_s: int) -> None:
        if self.came_s and self.came_s[0] <= now_s:
            self.stopped_s = max(self.stopped_s, now_s - max(self.last_s, self.came_s[0]))
        if count:
            del self.came_s[:count]
            self.last_s = now_s


def run(rooms: list[int], classes: list[Class]) -> Counter[str]:
    """Decide as often as there are rooms, beside endless urgent work; return how many of each class were admitted."""
    turns, counts = Turns(), Counter[str]()
    for number, room in enumerate(rooms):
        lanes = {part: part.lane(number * PASS_S) for part in classes}
        there = [lane for lane in lanes.values() if lane.heads]
        decision = decide(URGENT, *there, turns=turns, busy=[room_for(room)])
        turns = decision.turns
        for part, waiting in lanes.items():
            part.admit(admitted(decision)[waiting], number * PASS_S)
            counts[part.level] += admitted(decision)[waiting]
        counts["urgent"] += admitted(decision)[URGENT]
    return counts


@lives
@given(rooms, moments)
def test_the_low_class_gets_one_of_five_choices_when_it_has_waited_for_the_bound(
    rooms: list[int], came_s: list[int]
) -> None:
    low = Class("low", came_s)

    counts = run(rooms, [low])

    assert low.stopped_s <= BOUND_S + 5 * PASS_S
    assert counts["urgent"] >= 4 * counts["low"]
    assert counts.total() == sum(rooms)


@lives
@given(rooms, moments, moments, moments)
def test_no_class_is_stopped_for_longer_than_the_bound(
    rooms: list[int], high: list[int], normal: list[int], low: list[int]
) -> None:
    classes = [Class("high", high), Class("normal", normal), Class("low", low)]

    counts = run(rooms, classes)

    assert max(part.stopped_s for part in classes) <= BOUND_S + 15 * PASS_S
    assert counts["urgent"] >= 4 * (counts.total() - counts["urgent"])


def test_a_backlog_that_is_older_does_not_stop_a_less_urgent_class() -> None:
    """High comes faster than it is served, and its oldest have waited for half an hour when low comes."""
    high, low = Class("high", list(range(4_000))), Class("low", [2_000])

    run([2] * 440, [high, low])

    assert low.came_s == []
    assert low.stopped_s <= BOUND_S + 15 * PASS_S


def passes_before_a_gate(*lanes: Lane, gate: int, room: int, passes: int) -> Counter[Lane]:
    """Decide so often, with so many free slots behind the gate, and in the queue, each time."""
    turns, counts = Turns(), Counter[Lane]()
    for _ in range(passes):
        limits = [Limit("model:large", concurrency=gate)]
        decision = decide(*lanes, turns=turns, limits=limits, busy=[room_for(room)])
        counts += admitted(decision)
        turns = decision.turns
    return counts


def test_before_a_narrow_gate_who_is_overdue_gets_a_fifth_as_well() -> None:
    """The queue's turns would all come when the gate's only slot is taken."""
    urgent, old = many(2, "urgent", model="large"), many(3, "low", age_s=900, model="large")

    counts = passes_before_a_gate(many(1, "urgent", type="plain"), urgent, old, gate=1, room=5, passes=100)

    assert (counts[urgent], counts[old]) == (80, 20)


def test_before_a_narrow_gate_who_is_overdue_gets_no_more_than_a_fifth() -> None:
    """The queue's turns would be enough to take the whole gate."""
    urgent = many(2, "urgent", model="large")
    old = [many(tenant, "low", age_s=900, model="large") for tenant in range(3, 9)]

    counts = passes_before_a_gate(many(1, "urgent", type="plain"), urgent, *old, gate=2, room=15, passes=100)

    assert counts[urgent] >= 4 * sum(counts[lane] for lane in old) > 0
