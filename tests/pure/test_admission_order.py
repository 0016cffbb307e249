"""Who comes first: by class with ageing, then by each tenant's fair share, then by age. [E4] [E5]"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from agentapp.policies import priority
from agentapp.policies.backlog import Busy, Lane, Limit, Turns
from agentapp.policies.ordering import together
from tests.pure.backlogs import AGEING_S, NEVER_S, QUEUE, RUNWAY, admitted, by_tenant, decide, lane, many, room_for

ONE_AT_A_TIME = Limit("global", concurrency=1)


def in_turn(
    *lanes: Lane, passes: int, turns: Turns | None = None, ageing_s: float = NEVER_S, **rest: Any
) -> list[Lane]:
    """Who gets the only slot in so many decisions, each time that it is free again."""
    chosen: list[Lane] = []
    for _ in range(passes):
        decision = decide(*lanes, turns=turns, ageing_s=ageing_s, limits=[ONE_AT_A_TIME], **rest)
        chosen += admitted(decision).elements()
        turns = decision.turns
    return chosen


def test_the_more_urgent_comes_first_however_old_the_others_are() -> None:
    lanes = [lane(1, level, ages=[age_s]) for age_s, level in ((1, "urgent"), (5, "high"), (9, "normal"), (20, "low"))]

    for first in range(4):
        assert in_turn(*lanes[first:], passes=1) == [lanes[first]]


def test_of_one_class_the_tenant_comes_first_that_has_least_under_way() -> None:
    busy = [Busy(QUEUE, 1, "draft", running=2), Busy(QUEUE, 2, "draft", published=1), room_for(3)]

    assert by_tenant(decide(many(1, age_s=9), many(2), many(3), busy=[*busy[:2], room_for(2)])) == {3: 1}
    assert by_tenant(decide(many(1, age_s=9), many(2), many(3), busy=busy)) == {2: 1, 3: 1}


def test_what_is_under_way_counts_for_the_weight() -> None:
    assert by_tenant(decide(many(1), many(2), weights={2: 3.0})) == {1: 4, 2: 12}
    assert by_tenant(decide(many(1), many(2), weights={1: 0.5})) == {1: 5, 2: 11}


def test_of_one_tenant_the_oldest_comes_first() -> None:
    lanes = [lane(1, type=name, ages=ages) for name, ages in (("a", [5, 2]), ("b", [9, 1]), ("c", [4]))]

    assert admitted(decide(*lanes, busy=[room_for(3)])) == {lanes[0]: 1, lanes[1]: 1, lanes[2]: 1}
    assert admitted(decide(*lanes, busy=[room_for(4)])) == {lanes[0]: 2, lanes[1]: 1, lanes[2]: 1}


def test_of_one_tenant_what_was_begun_is_finished_before_more_is_begun() -> None:
    """The draft of an old task has only just become available; the young task has waited all the time."""
    old = lane(1, type="draft", ages=[0.1], task="older")
    young = lane(1, type="classify", ages=[9], task="younger")

    assert in_turn(young, old, passes=1) == [old]


def test_queues_that_the_same_workers_serve_are_put_together() -> None:
    every = ["documents", "model", "retrieval", "send"]

    assert together([["retrieval", "model"], ["send"]], every) == [("documents",), ("model", "retrieval"), ("send",)]
    assert together([["retrieval", "model"], ["model"]], every[1:3]) == [("model",), ("retrieval",)]
    assert together([], every) == [(name,) for name in every]


def test_what_was_begun_goes_first_in_another_queue_of_the_same_workers_too() -> None:
    begun, fresh = many(1, type="retrieve", queue="other", task="older"), many(1, type="classify", task="younger")
    same, others = [[QUEUE, "other"]], [[QUEUE], ["other"]]

    assert in_turn(begun, fresh, passes=2, served=same) == [begun] * 2
    assert in_turn(begun, fresh, passes=2, served=others) == [begun, fresh]


def test_they_have_one_runway_and_while_it_is_full_who_comes_next_waits_in_all_of_them() -> None:
    """Or tasks would be begun in the one without end, and their parts pile up in the other."""
    decision = decide(many(1), served=[[QUEUE, "other"]], busy=[Busy("other", 1, "retrieve", published=6)])

    assert sum(item.count for item in decision.admitted) == RUNWAY - 6
    assert decision.holds == {f"queue:{QUEUE}": True, "queue:other": True}


def test_tenants_with_as_much_under_way_take_turns() -> None:
    chosen = in_turn(many(1, age_s=9), many(2), many(3), passes=9)

    assert [lane.tenant for lane in chosen] == [1, 2, 3] * 3


def test_the_only_slot_goes_round_by_weight() -> None:
    """Nobody has anything under way when it is given: what counts is what each has got."""

    def turns_of(*weights: float) -> dict[int, int]:
        lanes = [many(tenant) for tenant in range(len(weights))]
        return Counter(lane.tenant for lane in in_turn(*lanes, passes=80, weights=dict(enumerate(weights))))

    assert turns_of(1, 3) == {0: 20, 1: 60}
    assert turns_of(0.5, 1, 2.5) == {0: 10, 1: 20, 2: 50}


def test_who_comes_back_has_no_claim_on_what_it_did_not_ask_for() -> None:
    """Not even while a paused tenant, which has had nothing at all, waits beside it."""
    paused, turns = Limit("tenant:3", mode="paused"), Turns()
    served: list[int] = []
    for number in range(60):
        there = [many(1), many(3)] if number < 40 else [many(1), many(2), many(3)]
        decision = decide(*there, turns=turns, ageing_s=NEVER_S, limits=[ONE_AT_A_TIME, paused])
        served += by_tenant(decision)
        turns = decision.turns

    assert served == [1] * 41 + [2, 1] * 9 + [2]


def test_who_was_paused_takes_turns_with_the_others_again() -> None:
    turns = Turns()
    for _ in range(40):
        turns = decide(many(1), many(2), turns=turns, limits=[ONE_AT_A_TIME, Limit("tenant:2", mode="paused")]).turns

    assert Counter(lane.tenant for lane in in_turn(many(1), many(2), passes=10, turns=turns)) == {1: 5, 2: 5}


@pytest.mark.parametrize(
    ("level", "age_s", "is_late"),
    [("low", 90, True), ("low", 89, False), ("normal", 60, True), ("high", 30, True), ("high", 29, False)],
)
def test_who_waits_for_as_long_as_its_class_says_is_overdue(level: str, age_s: float, is_late: bool) -> None:
    old = lane(2, level, ages=[age_s])

    assert (admitted(decide(many(1, "urgent"), old))[old] == 1) is is_late


def test_who_is_overdue_gets_every_fifth_choice_and_is_not_overtaken_in_the_broker() -> None:
    urgent, old = many(1, "urgent"), many(2, "low", age_s=500)

    assert in_turn(urgent, old, passes=10, ageing_s=AGEING_S) == ([urgent] * 4 + [old]) * 2
    assert {item.priority for item in decide(urgent, old).admitted} == {priority.URGENT}


def test_of_a_lane_that_is_published_in_two_classes_the_oldest_are_the_urgent_ones() -> None:
    """Postgres publishes the oldest of a lane for each line of what was decided, one line after the other."""
    decision = decide(many(1, "low", age_s=500))

    assert [(item.priority, item.count) for item in decision.admitted] == [(priority.URGENT, 3), (priority.LOW, 13)]


def test_of_who_is_overdue_too_the_tenants_take_turns() -> None:
    """10,000 jobs of one tenant are not in front of the other's."""
    chosen = in_turn(
        many(1, "urgent"), many(2, "low", age_s=5_000), many(3, "low", age_s=91), passes=40, ageing_s=AGEING_S
    )

    assert Counter(lane.tenant for lane in chosen) == {1: 32, 2: 4, 3: 4}


def test_classes_that_are_overdue_take_turns() -> None:
    lanes = [many(1, level, age_s=500) for level in priority.NAMES]

    counts = Counter(in_turn(*lanes, passes=60, ageing_s=AGEING_S))

    assert [counts[lane] for lane in lanes] == [48, 4, 4, 4]


def test_10_000_jobs_of_one_tenant_are_not_in_front_of_the_50_of_another() -> None:
    waiting, passes, turns = 50, 0, decide(many(1)).turns
    while waiting > 0:
        decision = decide(many(1, age_s=9), lane(2, ages=[1] * waiting), turns=turns, busy=[room_for(10)])
        waiting, passes, turns = waiting - by_tenant(decision)[2], passes + 1, decision.turns

    assert passes == 10, "alone it would take 5"
