"""A released lock is only a hint: when a silent process may be taken for dead. [D3]"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies.liveness import Sighting, Silent, judge

APART_S = 1.25


def test_a_lock_that_is_free_for_the_first_time_proves_nothing() -> None:
    dead, known = judge({}, {7: Silent({"a": "12:00:15"})}, now_s=100, apart_s=APART_S)

    assert dead == {}
    assert known == {7: Sighting(100, {"a": "12:00:15"})}


def test_free_twice_without_a_renewal_in_between_is_dead() -> None:
    known = {7: Sighting(100, {"a": "12:00:15", "b": "12:00:16"})}

    dead, remembered = judge(known, {7: Silent({"a": "12:00:15"})}, now_s=101.25, apart_s=APART_S)

    assert dead == {7: {"a": "12:00:15"}}
    assert remembered == {}


def test_two_looks_within_a_heartbeat_are_one() -> None:
    known = {7: Sighting(100, {"a": "12:00:15"})}

    assert judge(known, {7: Silent({"a": "12:00:15"})}, now_s=101.2, apart_s=APART_S) == ({}, known)


def test_a_renewal_or_a_new_lease_in_between_is_a_sign_of_life() -> None:
    known = {7: Sighting(100, {"a": "12:00:15"})}

    for leases in ({"a": "12:00:16"}, {"a": "12:00:15", "b": "12:00:17"}):
        assert judge(known, {7: Silent(leases)}, now_s=105, apart_s=APART_S) == ({}, {7: Sighting(105, leases)})


def test_a_process_that_holds_its_lock_again_is_forgotten() -> None:
    known = {7: Sighting(100, {"a": "12:00:15"})}

    assert judge(known, {}, now_s=105, apart_s=APART_S) == ({}, {})


@given(st.lists(st.floats(0.1, 3), min_size=1, max_size=30))
def test_a_process_that_renews_within_each_pair_of_looks_never_dies(waits: list[float]) -> None:
    known: dict[int, Sighting] = {}
    now_s = 0.0
    for beat, wait_s in enumerate(waits):
        now_s += wait_s
        dead, known = judge(known, {1: Silent({"a": str(beat)})}, now_s=now_s, apart_s=APART_S)
        assert dead == {}


def test_who_was_not_seen_for_long_is_dead_at_the_first_look() -> None:
    """A dispatcher that was killed with the workers, and has just begun."""
    dead, known = judge({}, {7: Silent({"a": "12:00:15"}, unseen_s=2 * APART_S)}, now_s=5, apart_s=APART_S)

    assert (dead, known) == ({7: {"a": "12:00:15"}}, {})
    assert judge({}, {7: Silent({"a": "12:00:15"}, unseen_s=2)}, now_s=5, apart_s=APART_S)[0] == {}
