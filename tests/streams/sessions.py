"""The sessions with Postgres of a hub that runs in the process of a test."""

from __future__ import annotations

import asyncio
import threading

from django.db import connections

from agentapp.streams.hub import Hub
from agentapp.streams.questions import THREADS

_TOGETHER_S = 120


async def close_all(streams: Hub) -> None:
    """Close those of all of its threads, which keep them without a pool: one that is left keeps the database of the
    test from being dropped."""
    together = threading.Barrier(THREADS)

    def close() -> None:
        # Each thread does it once: none goes on before all have come.
        together.wait(_TOGETHER_S)
        connections.close_all()

    await asyncio.gather(*(streams._questions.ask(close) for _ in range(THREADS)))
