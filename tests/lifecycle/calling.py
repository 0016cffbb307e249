"""Calls of a Combiner that a test lines up in the order that it wants."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from agentapp.lifecycle.combiner import Combiner

LONGEST_S = 120
HELD = "held"


def own(batch: Sequence[str]) -> list[str | None]:
    """The answer of each request."""
    return [f"{request}!" for request in batch]


def own_alone(request: str) -> str:
    return f"{request}!"


class Killed(BaseException):
    """What a test raises in a thread."""


class Moves:
    """A `make` that writes down what it is asked and by which thread, and stays in the batch that holds HELD.

    Its `alone` writes down in `made_alone`.
    """

    def __init__(
        self,
        answers: Callable[[Sequence[str]], Sequence[str | None]] = own,
        answer_alone: Callable[[str], str] = own_alone,
    ) -> None:
        self.batches: list[list[str]] = []
        self.threads: list[int] = []
        self.is_in = threading.Event()
        self.may_go = threading.Event()
        self.made_alone: list[tuple[str, int]] = []
        self._answers = answers
        self._answer_alone = answer_alone

    def __call__(self, batch: Sequence[str]) -> Sequence[str | None]:
        self.batches.append([*batch])
        self.threads.append(threading.get_ident())
        if HELD in batch:
            self.is_in.set()
            assert self.may_go.wait(LONGEST_S)
            return own(batch)
        return self._answers(batch)

    def alone(self, request: str) -> str:
        self.made_alone.append((request, threading.get_ident()))
        return self._answer_alone(request)


class Call(threading.Thread):
    """A thread that makes one call. A daemon: one that hangs fails its test, and no more."""

    def __init__(self, combiner: Combiner[str, str], request: str, *, dies_in: str | None = None) -> None:
        super().__init__(daemon=True)
        self._combiner = combiner
        self._dies_in = dies_in
        self._request = request
        self._came: Any = None
        self.start()

    def run(self) -> None:
        try:
            if self._dies_in:
                sys.settrace(self._die)
            self._came = self._combiner(self._request)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self._came = error

    def _die(self, frame: FrameType, _event: str, _argument: object) -> None:
        """Raise at the beginning of a function, once: there other threads' exceptions arrive too."""
        if frame.f_code.co_name == self._dies_in:
            sys.settrace(None)
            raise Killed

    def end(self) -> Any:
        """Return what came: the answer, or the error."""
        self.join(LONGEST_S)
        assert not self.is_alive(), f"The call of {self._request} hangs."
        return self._came


def ends(calls: Sequence[Call]) -> list[Any]:
    return [call.end() for call in calls]


def line_up(
    combiner: Combiner[str, str], moves: Moves, *requests: str, dies_in: dict[str, str] | None = None
) -> list[Call]:
    """Begin a call that stays in the lane, then these in their order; return all once the last one waits.

    `dies_in` names the function of the combiner in which the thread of a request is killed.
    """
    dies_in = dies_in or {}
    calls = [Call(combiner, HELD, dies_in=dies_in.get(HELD))]
    assert moves.is_in.wait(LONGEST_S)
    return [*calls, *line_up_more(combiner, requests, dies_in)]


def line_up_more(
    combiner: Combiner[str, str], requests: Sequence[str], dies_in: dict[str, str] | None = None
) -> list[Call]:
    """Begin these calls while the lane is held, each once the one before it waits."""
    calls = []
    for request in requests:
        waiting = len(combiner._waiting)
        calls.append(Call(combiner, request, dies_in=(dies_in or {}).get(request)))
        wait_until(lambda before=waiting: len(combiner._waiting) > before)  # type: ignore[misc]
    return calls


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {LONGEST_S} s"
        time.sleep(0.001)


def is_free(combiner: Combiner[Any, Any]) -> bool:
    """Tell whether nobody is in the lane and nobody waits for it."""
    return combiner._holder is None and not combiner._waiting and not combiner._lock.locked()


def raise_in(thread: threading.Thread, kind: type[BaseException]) -> None:
    """Raise an exception in another thread, as soon as it runs Python."""
    assert thread.ident is not None
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(kind)) == 1
