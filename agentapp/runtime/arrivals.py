"""Messages of jobs that one look at the broker has brought: their jobs are claimed in one move."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Protocol

from agentapp.lifecycle import lane
from agentapp.runtime import handover
from agentapp.runtime.claiming import PendingClaim


class Message(Protocol):
    """A message about a job, in this worker."""

    name: str
    job: str

    def begin(self) -> None: ...

    def perform(self, pending: PendingClaim) -> None: ...


# Jobs whose claims are made, and whose bodies no thread has begun.
Claims = deque[tuple[Message, PendingClaim]]


class Arrivals:
    """Of one worker. Its main loop adds what arrives, and hands it over to the pool once it has read everything."""

    def __init__(self, hub: Any, executor: Executor) -> None:
        self._hub = hub
        self._executor = executor
        self._waiting: list[Message] = []

    def add(self, message: Message) -> None:
        self._waiting.append(message)
        # Each time: a loop that breaks off with an error forgets what it was to do, and begins again.
        self._hub.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        arrived, self._waiting = self._waiting, []
        for first in range(0, len(arrived), lane.MOST):
            self._executor.submit(self._perform, arrived[first : first + lane.MOST])

    def _perform(self, messages: Sequence[Message]) -> None:
        """In a thread of the pool: claim, leave all jobs but the first to other threads, and run that."""
        for message in messages:
            message.begin()
        if len(messages) == 1:
            messages[0].perform(PendingClaim(messages[0].job))
            return
        claims = handover.claim_together([(message.name, message.job) for message in messages])
        left = deque(zip(messages, claims, strict=True))
        first, pending = left.popleft()
        self._submit_each(left)
        first.perform(pending)
        # What no other thread has begun: the pool was closed, because the worker ends, or it got no more threads.
        while left:
            _perform_next(left)

    def _submit_each(self, left: Claims) -> None:
        """One for each. An error does not tell whether a thread comes: so each takes what is still left, once."""
        with suppress(RuntimeError):
            for _ in range(len(left)):
                self._executor.submit(_perform_next, left)


def _perform_next(left: Claims) -> None:
    try:
        message, pending = left.popleft()
    except IndexError:
        # Another thread was faster.
        return
    message.perform(pending)
