"""Questions to Postgres from the event loop: asked by a small pool of threads that keep no connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agentapp.lifecycle import database
from agentapp.policies import faults
from agentapp.policies.faults import Fault

logger = logging.getLogger(__name__)
T = TypeVar("T")

THREADS = 2
# When to ask again after a question that was not answered.
AGAIN_S = 1.0


class Questions:
    """`ask` waits for the answer without holding a thread of the caller's."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="streams")

    async def ask(self, question: Callable[[], T]) -> T | None:
        """Return the answer, None where Postgres does not give one."""
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _asked, question)
        logger.warning("streams wait for Postgres: %s", caught.error)
        return None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _asked(question: Callable[[], T]) -> T:
    try:
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
            return question()
        if caught.error is None:
            raise AssertionError("unreachable")
        database.drop_sessions_after(caught.error)
        raise caught.error
    finally:
        database.release()
