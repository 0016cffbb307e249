"""Flat combining: threads of one process that want the same move at the same time share one statement and one commit.

Nothing here knows SQL. What makes the moves takes a list, and runs in the thread of one of those that asked.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from itertools import repeat
from threading import get_ident
from typing import Any, Generic, TypeVar

from agentapp.errors import Unavailable
from agentapp.policies import faults
from agentapp.policies.faults import Fault

Request = TypeVar("Request")
Answer = TypeVar("Answer")
_Make = Callable[[Sequence[Request]], Sequence[Answer | None]]


class _Waiter(Generic[Request, Answer]):
    """A call that came while others were served, and the batch that it leads if its turn comes."""

    __slots__ = ("answer", "answers", "failure", "led", "request", "thread", "woken")

    def __init__(self, request: Request, thread: int) -> None:
        self.request = request
        self.thread = thread
        # Held until somebody wakes the thread: half the price of an Event.
        self.woken = threading.Lock()
        self.woken.acquire()
        self.answer: Answer | None = None
        self.failure: Exception | None = None
        self.led: Sequence[_Waiter[Request, Answer]] = ()
        self.answers: Sequence[Answer | None] = ()

    def wake_led(self) -> None:
        """Give everybody in the batch that this one led what is theirs. May be done twice."""
        for waiter, answer in zip(self.led, self.answers or repeat(None)):  # noqa: B905 - repeat() has no end
            waiter.answer, waiter.failure = answer, self.failure
            if waiter.woken.locked():
                waiter.woken.release()


class Combiner(Generic[Request, Answer]):
    """Makes a move for one request, together with those of other threads that wait at the same moment.

    `make` is called in the lane, which one thread holds at a time. It makes the move for a list, of one item or many,
    and answers in the same order. It waits for a row no longer than its lane allows: None in a place means that this
    item was passed over, because somebody else holds its row. `alone` is called outside of the lane (but see law 7), by
    a thread for its own item, and may wait for its row. It must bear to be asked for an item whose `make` did not
    return: that may have committed before it failed.

    What holds:

    1. A lone call is not delayed: with nobody in the lane it is made at once, in its own thread. What `make` raises
       for one item is that call's own error: it is raised as it came, and not tried again.
    2. Calls that come while the lane is held wait. Then one of them leads all that wait, at most `most`, as one
       batch. The lead is handed on after each batch, so that a leader returns as soon as it has its own answer.
       Where at least `many` wait, and there is room for more, it calls `gather` first, which may let others come, and
       again as long as that brought some.
    3. An error or a busy row stays with its item. After a batch that failed, each thread calls `alone` for its own
       item; so does the thread of an item that was passed over, be it a lone one. Nobody waits for them.
    4. An outage reaches each thread of a batch of several once, as an Unavailable of its own that is caused by what
       `make` raised. It is not tried again here: callers are patient themselves.
    5. Each call gets the answer to its own request, wherever it stood in the batch.
    6. A thread that dies leaves no hole: one that waits is left out, one that leads hands the lead on, and the items
       that a leader leaves without an answer are made by `alone` in their own threads.
    7. A call from inside of `make` calls `alone` at once, in the lane that its thread holds. A forked child begins
       with an empty lane.
    8. A wrong number of answers is a bug, and raises RuntimeError in each thread of the batch.

    Law 6 bears one exception at a time in a thread, wherever it comes: raised by `make`, by a signal or by another
    thread. So no path may rely on two statements that a call stands between; most steps may be done twice instead.
    """

    _waiting: list[_Waiter[Request, Answer]]
    # The thread that is in the lane, or that was woken to lead.
    _holder: int | None

    def __init__(
        self, make: _Make[Request, Answer], alone: Callable[[Request], Answer], *, most: int = 32,
        many: int = 2, gather: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        if most < 1:
            raise ValueError(f"A batch of at most {most} items would serve nobody.")
        self._make = make
        self._alone = alone
        self._most = most
        self._many = many
        self._gather = gather
        self._empty()
        _all.add(self)

    def __call__(self, request: Request) -> Answer:
        """Make the move for a request. Raises what `make` or `alone` raises, and as laws 4 and 8 say."""
        thread = get_ident()
        if self._holder == thread:
            return self._alone(request)
        waiter = answer = None
        try:
            try:
                with self._lock:
                    if self._holder is None:
                        self._holder = thread
                    else:
                        waiter = _Waiter[Request, Answer](request, thread)
                        self._waiting.append(waiter)
                if waiter is None:
                    answer = self._make_one(request)
                else:
                    waiter.woken.acquire()
                    if self._holder == thread:
                        self._lead(waiter)
            finally:
                self._leave(thread, waiter)
        except BaseException:
            # It may have come while the thread left: that must not stay half done.
            self._leave(thread, waiter)
            raise
        if waiter is not None:
            answer = self._result(waiter)
        return self._alone(request) if answer is None else answer

    def _make_one(self, request: Request) -> Answer | None:
        answers = self._make([request])
        if len(answers) != 1:
            raise RuntimeError(_wrong_number(len(answers), 1))
        return answers[0]

    def _lead(self, leader: _Waiter[Request, Answer]) -> None:
        """Make one batch of what waits; the leader is the first of it."""
        known = self._many - 1
        while known < len(self._waiting) < self._most:
            known = len(self._waiting)
            self._gather()
        with self._lock:
            batch = self._waiting[: self._most]
            del self._waiting[: self._most]
            leader.led = batch
        if len(batch) == 1:
            leader.answers = (self._make_one(leader.request),)
            return
        try:
            answers = self._make([waiter.request for waiter in batch])
            if len(answers) == len(batch):
                leader.answers = answers
            else:
                leader.failure = RuntimeError(_wrong_number(len(answers), len(batch)))
        except Exception as error:  # noqa: BLE001 - whatever one item raises must not reach the others
            if faults.of(error) is Fault.OUTAGE:
                leader.failure = error

    def _leave(self, thread: int, waiter: _Waiter[Request, Answer] | None) -> None:
        """Stand in nobody's way from here on: not in the line, not in the lane, not before those that were led."""
        with self._lock:
            if waiter is not None and waiter in self._waiting:
                self._waiting.remove(waiter)
            if self._holder == thread:
                if self._waiting:
                    # It stays in the line until it runs: what comes meanwhile still joins its batch.
                    following = self._waiting[0]
                    self._holder = following.thread
                    following.woken.release()
                else:
                    self._holder = None
        if waiter is not None and waiter.led:
            waiter.wake_led()

    def _result(self, waiter: _Waiter[Request, Answer]) -> Answer | None:
        failure = waiter.failure
        if failure is None:
            return waiter.answer
        # Of its own for each thread: one that several raise would gather the tracebacks of all.
        if isinstance(failure, Unavailable):
            raise Unavailable(str(failure), retry_after_s=failure.retry_after_s) from failure
        if faults.of(failure) is Fault.OUTAGE:
            raise Unavailable(f"A store does not answer: {failure}") from failure
        raise RuntimeError(str(failure)) from failure

    def _empty(self) -> None:
        self._lock = threading.Lock()
        self._waiting = []
        self._holder = None

    @staticmethod
    def _empty_all() -> None:
        """Begin again in a forked child, where the threads that held or waited do not exist."""
        for combiner in _all:
            combiner._empty()


def _wrong_number(answers: int, items: int) -> str:
    return f"A move for {items} items gave {answers} answers."


_all: weakref.WeakSet[Combiner[Any, Any]] = weakref.WeakSet()
os.register_at_fork(after_in_child=Combiner._empty_all)
