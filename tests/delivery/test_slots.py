"""How many requests go to one host at once, and when the others should come again."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from agentapp.delivery import slots
from agentapp.delivery.slots import Slots
from agentapp.errors import ReceiverBusy


def turned_away(found: Slots, key: str, *, most: int) -> float:
    with pytest.raises(ReceiverBusy) as refused, found.held(key, most=most):
        raise AssertionError("it got a slot")
    return refused.value.retry_after_s


def test_a_key_has_so_many_slots_and_others_have_their_own() -> None:
    found = Slots()
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(found.held("a.example", most=4))

        assert turned_away(found, "a.example", most=4) >= slots.SOONEST_S
        with found.held("b.example", most=4):
            pass
    with found.held("a.example", most=4):
        pass


def test_a_slot_is_free_again_whatever_becomes_of_the_call() -> None:
    found = Slots()
    for error in (ValueError, ReceiverBusy, KeyboardInterrupt):
        with pytest.raises(error), found.held("a.example", most=1):
            raise error("x")
    with found.held("a.example", most=1):
        pass


def test_those_who_find_no_slot_come_again_one_after_the_other_but_not_never() -> None:
    found = Slots()
    with found.held("a.example", most=1):
        waits = [turned_away(found, "a.example", most=1) for _ in range(1_000)]

    assert waits == sorted(waits)
    assert waits[0] < waits[50] < waits[-1] == slots.LATEST_S
