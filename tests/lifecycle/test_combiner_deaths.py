"""Threads that die in a Combiner, calls from inside of a move, and forks: laws 6 and 7 of Combiner."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Sequence

import pytest

from agentapp.lifecycle.combiner import Combiner
from tests.lifecycle.calling import (
    HELD,
    LONGEST_S,
    Call,
    Killed,
    Moves,
    ends,
    is_free,
    line_up,
    own,
    own_alone,
    raise_in,
    wait_until,
)


@pytest.mark.parametrize("dies", [1, 2, 3])
def test_a_waiter_that_dies_as_it_is_woken_leaves_no_hole(dies: int) -> None:
    moves = Moves()
    combiner = Combiner(moves, moves.alone)
    calls = line_up(combiner, moves, *"abc")
    raise_in(calls[dies], Killed)

    moves.may_go.set()
    came = ends(calls)

    # The first of them was to lead.
    assert isinstance(came[dies], Killed)
    assert [end for end in came if not isinstance(end, Killed)] == own(
        [request for place, request in enumerate([HELD, *"abc"]) if place != dies]
    )
    assert is_free(combiner)
    assert combiner("d") == "d!"


def test_a_waiter_that_dies_in_the_line_is_left_out_of_the_batch() -> None:
    moves = Moves()
    combiner = Combiner(moves, moves.alone)
    first, second = line_up(combiner, moves, "a")
    me = threading.get_ident()

    def die(_number: int, _frame: object) -> None:
        raise Killed

    def kill_when_it_waits() -> None:
        wait_until(lambda: len(combiner._waiting) == 2)
        signal.pthread_kill(me, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, die)
    killer = threading.Thread(target=kill_when_it_waits, daemon=True)
    try:
        killer.start()
        with pytest.raises(Killed):
            combiner("b")
    finally:
        killer.join(LONGEST_S)
        signal.signal(signal.SIGUSR1, before)
    moves.may_go.set()

    assert ends([first, second]) == own([HELD, "a"])
    assert moves.batches == [[HELD], ["a"]]
    assert is_free(combiner)


def test_what_a_leader_that_dies_in_a_batch_leaves_is_made_alone() -> None:
    def die(batch: Sequence[str]) -> list[str | None]:
        if len(batch) > 1:
            raise SystemExit
        return own(batch)

    moves = Moves(die)
    combiner = Combiner(moves, moves.alone, most=3)
    calls = line_up(combiner, moves, *"abcd")

    moves.may_go.set()
    _, leader, *others = ends(calls)

    assert isinstance(leader, SystemExit)
    assert others == ["b!", "c!", "d!"]
    assert moves.batches == [[HELD], ["a", "b", "c"], ["d"]]
    assert sorted(moves.made_alone) == [("b", calls[2].ident), ("c", calls[3].ident)]
    assert is_free(combiner)


@pytest.mark.parametrize(
    ("dies", "place"),
    [
        (HELD, "_leave"),
        *(("a", place) for place in ("_lead", "_leave", "wake_led", "_result")),
        *(("b", place) for place in ("_leave", "_result")),
    ],
)
def test_a_thread_that_is_killed_in_the_midst_of_the_mechanism_leaves_no_hole(dies: str, place: str) -> None:
    moves = Moves()
    combiner = Combiner(moves, moves.alone, most=2)
    calls = dict(zip([HELD, *"abcd"], line_up(combiner, moves, *"abcd", dies_in={dies: place}), strict=True))

    moves.may_go.set()

    assert isinstance(calls.pop(dies).end(), Killed)
    assert {request: call.end() for request, call in calls.items()} == {each: f"{each}!" for each in calls}
    assert is_free(combiner)
    made = [request for batch in moves.batches for request in batch] + [request for request, _ in moves.made_alone]
    assert len(made) == len({*made})


def test_a_lone_call_that_dies_hands_the_lead_on() -> None:
    moves = Moves()
    combiner = Combiner(moves, moves.alone)
    lone, *others = line_up(combiner, moves, "a", "b")
    raise_in(lone, Killed)

    moves.may_go.set()

    assert isinstance(lone.end(), Killed)
    assert ends(others) == ["a!", "b!"]
    assert moves.batches[1:] == [["a", "b"]]
    assert is_free(combiner)


def test_a_call_from_inside_of_a_move_is_made_at_once() -> None:
    def nest(batch: Sequence[str]) -> list[str | None]:
        return [combiner("inner") if request == "a" else f"{request}!" for request in batch]

    moves = Moves(nest)
    combiner = Combiner(moves, moves.alone)
    calls = line_up(combiner, moves, "a", "b")

    moves.may_go.set()

    assert ends(calls) == [f"{HELD}!", "inner!", "b!"]
    assert moves.batches == [[HELD], ["a", "b"]]
    assert moves.made_alone == [("inner", calls[1].ident)]
    assert Call(combiner, "a").end() == "inner!"
    assert is_free(combiner)


def test_a_forked_child_begins_with_an_empty_lane() -> None:
    moves = Moves()
    combiner = Combiner(moves, moves.alone)
    calls = line_up(combiner, moves, "a")

    with combiner._lock:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(LONGEST_S)
            os._exit(0 if combiner("child") == "child!" and moves.batches[-1] == ["child"] and is_free(combiner) else 1)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    moves.may_go.set()

    assert ended == 0
    assert ends(calls) == own([HELD, "a"])


def test_a_combiner_that_nobody_uses_is_not_kept_for_forks() -> None:
    combiner = Combiner(own, own_alone)
    kept = weakref.ref(combiner)

    del combiner

    assert kept() is None
