"""Threads that want the same move at the same time share it: laws 1 to 5 and 8 of Combiner."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from django.db.utils import OperationalError

from agentapp.errors import Unavailable
from agentapp.lifecycle.combiner import Combiner
from tests.lifecycle import calling
from tests.lifecycle.calling import HELD, LONGEST_S, Call, Moves, ends, is_free, line_up, own, own_alone, wait_until

# Law 1


def test_a_lone_call_is_made_in_its_own_thread_and_waits_for_nothing() -> None:
    moves, called = Moves(), set[str]()
    combiner = Combiner(moves, moves.alone)

    def see(_frame: object, event: str, what: Any) -> None:
        if event == "c_call" and not moves.batches:
            called.add(what.__name__)

    # What a garbage collection calls in between is none of its own.
    gc.disable()
    sys.setprofile(see)
    try:
        answer = combiner("a")
    finally:
        sys.setprofile(None)
        gc.enable()

    assert answer == "a!"
    assert moves.batches == [["a"]]
    assert moves.threads == [threading.get_ident()]
    assert not moves.made_alone
    assert not called & {"sleep", "acquire", "wait", "start_new_thread"}
    assert is_free(combiner)


@pytest.mark.parametrize("raised", [Unavailable("It is away."), ValueError("bad"), SystemExit()], ids=repr)
def test_the_error_of_one_item_is_raised_as_it_came_and_is_not_tried_again(raised: BaseException) -> None:
    def fail(batch: Sequence[str]) -> list[str | None]:
        raise raised

    moves = Moves(fail)
    combiner = Combiner(moves, moves.alone)

    with pytest.raises(type(raised)) as caught:
        combiner("lone")
    _, waited = line_up(combiner, moves, "waits")
    moves.may_go.set()

    assert caught.value is raised
    assert waited.end() is raised
    assert moves.batches == [["lone"], [HELD], ["waits"]]
    assert not moves.made_alone
    assert is_free(combiner)


# Law 2


@pytest.mark.parametrize(
    ("most", "batches"),
    [(32, [["a", "b", "c", "d", "e"]]), (2, [["a", "b"], ["c", "d"], ["e"]]), (1, [[each] for each in "abcde"])],
)
def test_what_waits_is_the_next_batch_and_one_of_it_leads(most: int, batches: list[list[str]]) -> None:
    moves = Moves()
    combiner = Combiner(moves, moves.alone, most=most)
    calls = line_up(combiner, moves, *"abcde")
    idents = {request: call.ident for request, call in zip([HELD, *"abcde"], calls, strict=True)}

    moves.may_go.set()

    assert ends(calls) == own([HELD, *"abcde"])
    assert moves.batches == [[HELD], *batches]
    assert moves.threads == [idents[batch[0]] for batch in moves.batches]
    assert is_free(combiner)


def test_a_leader_of_several_lets_others_come_as_long_as_some_do_and_a_lone_call_does_not() -> None:
    moves, late, waits = Moves(), list[Call](), [2, 1, 0]

    def gather() -> None:
        late.extend(calling.line_up_more(combiner, [f"late {len(late) + n}" for n in range(waits.pop(0))]))

    combiner = Combiner(moves, moves.alone, most=10, gather=gather)
    assert combiner("lone") == "lone!"
    calls = line_up(combiner, moves, "a", "b")

    moves.may_go.set()

    assert ends(calls) == own([HELD, "a", "b"])
    assert ends(late) == own(["late 0", "late 1", "late 2"])
    assert moves.batches == [["lone"], [HELD], ["a", "b", "late 0", "late 1", "late 2"]]
    assert waits == []


def test_a_leader_returns_with_its_answer_while_the_next_batch_is_made() -> None:
    is_in, may_go = threading.Event(), threading.Event()

    def second(batch: Sequence[str]) -> list[str | None]:
        is_in.set()
        # Longer than the test waits for the first call.
        assert may_go.wait(2 * LONGEST_S)
        return own(batch)

    moves = Moves(second)
    combiner = Combiner(moves, moves.alone)
    first, *others = line_up(combiner, moves, "a", "b")

    moves.may_go.set()
    assert is_in.wait(LONGEST_S)

    assert first.end() == f"{HELD}!"
    assert all(call.is_alive() for call in others)
    may_go.set()
    assert ends(others) == ["a!", "b!"]


# Law 3


@pytest.mark.parametrize("bad", ["a", "c"])
def test_after_a_batch_that_failed_each_thread_makes_its_own_item_at_the_same_time(bad: str) -> None:
    together = threading.Barrier(4)

    def refuse(batch: Sequence[str]) -> list[str | None]:
        if bad in batch:
            raise ValueError(f"{bad} among {len(batch)}")
        together.wait(LONGEST_S)
        return own(batch)

    def refuse_alone(request: str) -> str:
        # Three that make their own, and one that is in the lane: none of them is behind another.
        together.wait(LONGEST_S)
        if request == bad:
            raise ValueError(f"{bad} alone")
        return own_alone(request)

    moves = Moves(refuse, refuse_alone)
    combiner = Combiner(moves, moves.alone)
    calls = line_up(combiner, moves, *"abc")

    moves.may_go.set()
    wait_until(lambda: together.n_waiting == 3)
    later = Call(combiner, "d")
    came = dict(zip("abc", ends(calls[1:]), strict=True))

    error = came.pop(bad)
    assert isinstance(error, ValueError)
    assert str(error) == f"{bad} alone"
    assert came == {request: f"{request}!" for request in came}
    assert later.end() == "d!"
    assert sorted(moves.made_alone) == [*zip("abc", (call.ident for call in calls[1:]), strict=True)]
    assert moves.batches == [[HELD], ["a", "b", "c"], ["d"]]
    assert is_free(combiner)


@pytest.mark.parametrize("locked", ["a", "b"])
def test_an_item_that_was_passed_over_waits_for_its_row_and_nobody_waits_for_it(locked: str) -> None:
    is_unlocked = threading.Event()

    def pass_over(batch: Sequence[str]) -> list[str | None]:
        return [None if request == locked else f"{request}!" for request in batch]

    def wait_for_the_row(request: str) -> str:
        assert is_unlocked.wait(LONGEST_S)
        return own_alone(request)

    moves = Moves(pass_over, wait_for_the_row)
    combiner = Combiner(moves, moves.alone)
    calls = dict(zip([HELD, "a", "b", "c"], line_up(combiner, moves, "a", "b", "c"), strict=True))

    moves.may_go.set()
    waits = calls.pop(locked)

    assert {request: call.end() for request, call in calls.items()} == {each: f"{each}!" for each in calls}
    assert Call(combiner, "d").end() == "d!"
    assert waits.is_alive()
    is_unlocked.set()
    assert waits.end() == f"{locked}!"
    assert moves.made_alone == [(locked, waits.ident)]


@pytest.mark.parametrize("is_led", [False, True], ids=["nobody in the lane", "the only one that waits"])
def test_a_lone_item_waits_for_its_row_outside_of_the_lane(*, is_led: bool) -> None:
    is_waiting, is_unlocked = threading.Event(), threading.Event()

    def pass_over(batch: Sequence[str]) -> list[str | None]:
        return [None if request == "busy" else f"{request}!" for request in batch]

    def wait_for_the_row(request: str) -> str:
        is_waiting.set()
        # Longer than the test waits for the others.
        assert is_unlocked.wait(4 * LONGEST_S)
        return own_alone(request)

    moves = Moves(pass_over, wait_for_the_row)
    combiner = Combiner(moves, moves.alone)
    if is_led:
        _, busy = line_up(combiner, moves, "busy")
        moves.may_go.set()
    else:
        busy = Call(combiner, "busy")
    assert is_waiting.wait(LONGEST_S)
    moves.is_in.clear()
    moves.may_go.clear()

    others = line_up(combiner, moves, "a", "b")
    moves.may_go.set()

    assert ends(others) == own([HELD, "a", "b"])
    assert moves.batches[-3:] == [["busy"], [HELD], ["a", "b"]]
    assert is_free(combiner)
    assert busy.is_alive()
    is_unlocked.set()
    assert busy.end() == "busy!"
    assert moves.made_alone == [("busy", busy.ident)]


# Law 4


def _of_the_driver() -> Exception:
    error = OperationalError("connection lost")
    error.__cause__ = psycopg.OperationalError("connection lost")
    return error


@pytest.mark.parametrize("raised", [Unavailable("It is away.", retry_after_s=7), _of_the_driver()], ids=["ours", "its"])
def test_an_outage_reaches_each_waiter_once_as_an_error_of_its_own(raised: Exception) -> None:
    def fail(batch: Sequence[str]) -> list[str | None]:
        raise raised

    moves = Moves(fail)
    combiner = Combiner(moves, moves.alone)
    calls = line_up(combiner, moves, *"abc")

    moves.may_go.set()
    errors = ends(calls[1:])

    assert [type(error) for error in errors] == [Unavailable] * 3
    assert len({id(error) for error in [*errors, raised]}) == 4
    assert all(error.__cause__ is raised and str(raised) in str(error) for error in errors)
    assert {error.retry_after_s for error in errors} == {getattr(raised, "retry_after_s", 5)}
    assert moves.batches == [[HELD], ["a", "b", "c"]]
    assert not moves.made_alone
    assert is_free(combiner)


# Law 5


def test_each_call_gets_the_answer_to_its_own_request() -> None:
    moves = Moves()
    combiner = Combiner(moves, moves.alone)
    requests = [*"hdbgacfe"]
    calls = line_up(combiner, moves, *requests)

    moves.may_go.set()

    assert ends(calls[1:]) == own(requests)
    assert moves.batches[1:] == [requests]


# Law 8


@pytest.mark.parametrize("answers", [[], ["one"], ["one"] * 4], ids=len)
def test_a_wrong_number_of_answers_is_a_bug_for_each_waiter(answers: list[str]) -> None:
    moves = Moves(lambda batch: answers)
    combiner = Combiner(moves, moves.alone)
    calls = line_up(combiner, moves, *"abc")

    moves.may_go.set()
    errors = ends(calls[1:])

    assert [(type(error), str(error)) for error in errors] == [
        (RuntimeError, f"A move for 3 items gave {len(answers)} answers.")
    ] * 3
    assert len({id(error) for error in errors}) == 3
    assert moves.batches == [[HELD], ["a", "b", "c"]]
    assert not moves.made_alone
    assert is_free(combiner)


def test_a_wrong_number_of_answers_for_a_lone_call_is_a_bug() -> None:
    combiner = Combiner[str, str](lambda batch: ["one", "two"], own_alone)

    with pytest.raises(RuntimeError, match="2 answers"):
        combiner("a")
