"""The life of the web process, as far as streams must know: they end at once when it is told to end. Its last requests
are counted then, and its last spans sent.

The server waits for open connections before it says that it shuts down, and an open stream is one.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType
from typing import Any

from agentapp.lifecycle import database
from agentapp.observability import tracing
from agentapp.services.request_counts import request_counts
from agentapp.streams import hub
from agentapp.streams.lines import Receive, Send

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def live(receive: Receive, send: Send) -> None:
    """Be the application of ASGI's lifespan."""
    await receive()
    streams = hub.of_this_process()
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            _precede(number, streams)
    request_counts.begin()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await streams.shut()
    await asyncio.to_thread(request_counts.end)
    # The server ends by the signal itself, without the hooks of Python's own end.
    await asyncio.to_thread(tracing.flush)
    # At the very end of a process its threads do not run any more, and each would be waited for.
    await asyncio.to_thread(database.close_pool)
    await send({"type": "lifespan.shutdown.complete"})


def _precede(number: signal.Signals, streams: hub.Hub) -> None:
    """Let the streams hear of a signal before the server's own handler does."""
    server: Any = signal.getsignal(number)
    loop = asyncio.get_running_loop()

    def handle(received: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(streams.stop)
        if callable(server):
            server(received, frame)

    if callable(server):
        signal.signal(number, handle)
