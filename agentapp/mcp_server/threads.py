"""The threads in which tools ask Postgres: the ORM blocks, and the event loop must not."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import close_old_connections
from django.urls import get_script_prefix, set_script_prefix

from agentapp.lifecycle import database
from agentapp.policies import faults
from agentapp.policies.faults import Fault

T = TypeVar("T")
# Calls beyond these stand in line. Without a pool each thread keeps a connection.
THREADS = 8

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mcp")


async def call(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread, with the path below which this request has reached the service."""
    context, prefix = contextvars.copy_context(), get_script_prefix()
    return await asyncio.get_running_loop().run_in_executor(
        _pool, lambda: context.run(_called, prefix, function, *arguments)
    )


def _called(prefix: str, function: Callable[..., T], *arguments: Any) -> T:
    # Django keeps it where threads of its own find it alone.
    set_script_prefix(prefix)
    close_old_connections()
    try:
        with faults.caught(Fault.OUTAGE) as caught:
            return function(*arguments)
        if caught.error is None:
            raise AssertionError("unreachable")
        database.drop_sessions_after(caught.error)
        raise caught.error
    finally:
        database.release()
