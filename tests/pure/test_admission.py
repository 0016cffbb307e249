"""Who is let through, who is stopped by what, and what is told about it. [E1] [E2] [E6] INV5"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentapp.policies import admission
from agentapp.policies.backlog import Backlog, Busy, Decision, Limit, Turns
from tests.pure.backlogs import NEVER_S, QUEUE, RUNWAY, admitted, by_tenant, decide, lane, many, room_for

MODEL = "model:large"
waiting = many(1, model="large")


def stopped(**limit: Any) -> Decision:
    """Decide on one job that this limit of its model concerns, and that does not pass."""
    decision = decide(lane(1, model="large"), limits=[Limit(MODEL, **limit)])
    assert decision.admitted == ()
    return decision


def test_without_limits_everything_passes_that_the_broker_has_room_for() -> None:
    assert by_tenant(decide(lane(1, ages=[3, 2, 1]), lane(2))) == {1: 3, 2: 1}
    assert by_tenant(decide(many(1))) == {1: RUNWAY}


@pytest.mark.parametrize(("per_s", "runway"), [(0, 8), (10, 8), (200, 40), (9_000, 1_000)])
def test_the_broker_holds_what_the_workers_take_soon(per_s: float, runway: int) -> None:
    assert admission.runway(per_s=per_s) == runway


def test_what_ran_dry_while_others_waited_was_too_little() -> None:
    """After an idle night the measured speed is nothing, and it cannot grow past what is published."""
    backlog, turns, sizes = Backlog([many(1)]), Turns(), []
    for _ in range(4):
        decision = admission.decide(backlog, turns, ageing_s=NEVER_S)
        turns = decision.turns
        sizes.append(sum(item.count for item in decision.admitted))

    assert sizes == [8, 12, 18, 27]


@pytest.mark.parametrize(("left", "runway"), [(0, 120), (20, 90), (40, 60), (50, 50), (80, 50)])
def test_a_runway_grows_only_where_it_was_used_and_goes_back_to_what_is_measured(left: int, runway: int) -> None:
    assert admission.runway(per_s=250, filled=80, left=left) == runway


def test_a_runway_does_not_grow_where_nobody_had_to_stay_behind() -> None:
    decision = admission.decide(Backlog([lane(1)]), Turns(), ageing_s=NEVER_S)

    assert decision.turns.filled == {}


def test_where_there_is_room_for_more_than_was_shown_the_next_look_is_at_once() -> None:
    shown = lane(1, ages=[1.0] * 4, has_more=True)

    assert decide(shown).next_s == 0
    assert decide(lane(1, ages=[1.0] * 4)).next_s is None
    assert decide(many(1)).next_s is None


def test_the_broker_holds_more_where_looks_take_longer() -> None:
    def runways(**ahead: float) -> dict[str, int]:
        backlog = Backlog([many(1)], limits=[Limit(f"queue:{QUEUE}", per_s=100)])
        return dict(admission.decide(backlog, Turns(), ageing_s=NEVER_S, **ahead).runways)

    assert runways() == {QUEUE: 20}
    assert runways(ahead_s=0.6) == {QUEUE: 60}


def test_what_is_published_takes_a_slot_and_room_in_the_broker_before_it_runs() -> None:
    busy = [Busy(QUEUE, 1, "draft", "large", running=3, published=2)]

    assert by_tenant(decide(waiting, busy=busy, limits=[Limit(MODEL, concurrency=7)])) == {1: 2}
    assert by_tenant(decide(waiting, busy=busy)) == {1: 14}


def test_every_key_of_a_job_must_let_it_pass() -> None:
    key_of = {"global": 4, "job_type:draft": 9, f"queue:{QUEUE}": 5, "tenant:1": 6, MODEL: 8}
    for narrowest in key_of:
        limits = [Limit(key, concurrency=2 if key == narrowest else size) for key, size in key_of.items()]
        assert by_tenant(decide(waiting, limits=limits)) == {1: 2}, narrowest


def test_only_urgent_jobs_take_reserved_slots() -> None:
    limits = [Limit("global", concurrency=5, reserved=2)]

    assert by_tenant(decide(many(1), limits=limits)) == {1: 3}
    assert by_tenant(decide(many(1, "urgent"), limits=limits)) == {1: 5}


def test_who_is_stopped_blocks_nobody_beside_it() -> None:
    limits = [Limit(MODEL, mode="paused"), Limit("tenant:2", concurrency=0)]

    assert by_tenant(decide(waiting, lane(2, "urgent"), lane(3, "low"), limits=limits)) == {3: 1}


def test_queues_share_in_turn_what_a_gate_has_left() -> None:
    lanes = [many(1, queue=queue, model="large") for queue in ("documents", "model")]
    limits = [Limit(MODEL, concurrency=5)]

    first = decide(*lanes, limits=limits)
    second = decide(*lanes, limits=limits, turns=first.turns)

    assert [admitted(first)[lane] for lane in lanes] == [3, 2]
    assert [admitted(second)[lane] for lane in lanes] == [2, 3]


def test_a_paused_key_lets_nothing_pass() -> None:
    begun, fresh = lane(1), lane(1, type="classify")

    assert decide(begun, fresh, limits=[Limit("tenant:1", mode="paused")]).admitted == ()


def test_a_breaker_whose_time_is_over_lets_one_job_try() -> None:
    open_limit = Limit(MODEL, concurrency=9, breaker="open")

    assert by_tenant(decide(waiting, limits=[open_limit])) == {1: 1}
    assert by_tenant(decide(waiting, limits=[replace(open_limit, reserved=3)])) == {1: 1}
    assert decide(waiting, limits=[replace(open_limit, closed_s=4)]).admitted == ()
    assert decide(waiting, limits=[open_limit], busy=[Busy(QUEUE, 1, "draft", "large", published=1)]).admitted == ()


def test_a_meter_counts_what_is_published_as_passed() -> None:
    limits = [Limit(MODEL, request_s=1, request_burst=6, request_ahead_s=2)]

    assert by_tenant(decide(waiting, limits=limits)) == {1: 4}
    assert by_tenant(decide(waiting, limits=limits, busy=[Busy(QUEUE, 1, "draft", "large", published=3)])) == {1: 1}


def test_each_job_takes_the_tokens_of_its_type() -> None:
    limits = [Limit(MODEL, token_s=0.01, token_burst=120), *(Limit(f"job_type:{n}", tokens_each=n) for n in (100, 10))]
    large, small = lane(1, type="100", model="large", ages=[9]), many(1, type="10", model="large")

    assert admitted(decide(large, small, limits=limits)) == {large: 1, small: 2}
    assert admitted(decide(small, limits=limits)) == {small: 12}
    assert admitted(decide(small, limits=limits, busy=[Busy(QUEUE, 1, "100", "large", published=1)])) == {small: 2}


def test_it_is_told_when_a_closed_key_or_a_meter_lets_the_next_one_pass() -> None:
    assert stopped(closed_s=7).next_s == 7
    assert stopped(request_s=2, request_burst=3, request_ahead_s=5).next_s == 1
    assert stopped(request_s=2, request_ahead_s=5).next_s == 5
    soonest = [Limit("tenant:1", closed_s=3), Limit("tenant:2", closed_s=2), Limit("tenant:3", closed_s=9)]
    assert decide(lane(1), lane(2), lane(3), limits=soonest).next_s == 2


def test_it_is_not_told_when_what_somebody_else_must_do_first() -> None:
    assert stopped(concurrency=0).next_s is None
    assert stopped(mode="paused").next_s is None
    assert decide(lane(1)).next_s is None
    # Both are in the way: the meter alone says nothing.
    assert decide(lane(1), limits=[Limit("global", concurrency=0), Limit("tenant:1", closed_s=3)]).next_s is None
    # What is published takes its share of the meter when it is claimed, and nobody knows when that is.
    paced = [Limit(MODEL, request_s=2)]
    assert decide(waiting, limits=paced).next_s is None


def test_a_key_is_held_while_somebody_waits_for_it() -> None:
    busy = [Busy(QUEUE, 1, "draft", "large", running=2)]
    limit = Limit(MODEL, concurrency=2)

    assert decide(waiting, limits=[limit], busy=busy).holds == {MODEL: True}
    held = replace(limit, holds=True)
    assert decide(waiting, limits=[held], busy=busy).holds == {}
    assert decide(limits=[held], busy=busy).holds == {MODEL: False}
    assert decide(lane(1, model="large"), limits=[held]).holds == {MODEL: False}


def test_who_is_parked_keeps_its_keys_held() -> None:
    parked = [Busy(QUEUE, 1, "draft", "large")]

    assert decide(limits=[Limit(MODEL, holds=True), Limit("tenant:1", holds=True)], parked=parked).holds == {}
    assert decide(limits=[Limit(MODEL)], parked=parked).holds == {}


def test_a_queue_is_held_while_the_broker_holds_enough() -> None:
    key = f"queue:{QUEUE}"

    assert decide(many(1)).holds == {key: True}
    assert decide(many(1), limits=[Limit(key, holds=True)], busy=[room_for(0)]).holds == {}
    assert decide(lane(1), limits=[Limit(key, holds=True)]).holds == {key: False}
    # All of what is shown fits, but there is more behind it.
    assert decide(lane(1, has_more=True)).holds == {key: True}


def test_a_full_queue_lets_go_of_no_key_that_others_wait_for() -> None:
    limits = [Limit(MODEL, concurrency=0, holds=True), Limit("tenant:2", concurrency=9, holds=True)]
    lanes = [lane(1, "urgent"), lane(2, model="large")]

    assert decide(*lanes, limits=limits, busy=[room_for(0)]).holds == {f"queue:{QUEUE}": True, "tenant:2": False}


def test_a_runway_is_told_when_it_is_new_or_a_quarter_off() -> None:
    def told(known: int | None) -> dict[str, int]:
        return dict(decide(served=[[QUEUE]], limits=[Limit(f"queue:{QUEUE}", runway=known, per_s=100)]).runways)

    assert all(told(known) == {QUEUE: 20} for known in (None, 15, 27))
    assert all(told(known) == {} for known in (16, 20, 26))
