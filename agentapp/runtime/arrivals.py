"""Messages of jobs that one look at the broker has brought: their jobs are claimed in one move."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

from agentapp.lifecycle import lane
from agentapp.runtime import handover
from agentapp.runtime.claiming import Ask


class Request(Protocol):
    """A message about a job, in this worker."""

    name: str
    job: str

    def begin(self) -> None: ...

    def perform(self, ask: Ask) -> None: ...


class Arrivals:
    """Of one worker. Its main loop adds what arrives, and hands it over to the pool once it has read everything."""

    def __init__(self, hub: Any, executor: Executor) -> None:
        self._hub = hub
        self._executor = executor
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        if not self._waiting:
            self._hub.call_soon(self._hand_over)
        self._waiting.append(request)

    def _hand_over(self) -> None:
        arrived, self._waiting = self._waiting, []
        for first in range(0, len(arrived), lane.MOST):
            self._executor.submit(self._perform, arrived[first : first + lane.MOST])

    def _perform(self, requests: Sequence[Request]) -> None:
        """In a thread of the pool: claim, leave all jobs but the first to other threads, and run that."""
        first, *others = requests
        for request in requests:
            request.begin()
        if not others:
            first.perform(Ask(first.job))
            return
        asks = handover.ask_all([(request.name, request.job) for request in requests])
        left = [
            (request, ask) for request, ask in zip(others, asks[1:], strict=True) if not self._left_to(request, ask)
        ]
        first.perform(asks[0])
        for request, ask in left:
            request.perform(ask)

    def _left_to(self, request: Request, ask: Ask) -> bool:
        """Whether another thread takes it: not where the pool is closed, because the worker ends."""
        try:
            self._executor.submit(request.perform, ask)
        except RuntimeError:
            return False
        return True
