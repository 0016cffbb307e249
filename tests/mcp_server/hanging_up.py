"""A process in which a client calls wait_for_task and hangs up: it ends when nothing waits any longer.

`python -m tests.mcp_server.hanging_up TASK TOKEN`. The application is asked without a server: whether a call still
waits cannot be seen from outside of its process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from config.asgi import application


def scope(token: str) -> dict[str, Any]:
    headers = {"host": "localhost", "content-type": "application/json", "authorization": f"Bearer {token}"}
    return {
        "type": "http", "method": "POST", "path": "/mcp", "raw_path": b"/mcp", "query_string": b"", "root_path": "",
        "scheme": "http", "server": ("localhost", 80), "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip


async def main(task: str, token: str) -> None:
    from agentapp.streams import hub

    arguments = {"name": "wait_for_task", "arguments": {"task_id": task, "timeout_s": 55}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}
    received: asyncio.Queue[Any] = asyncio.Queue()
    received.put_nowait({"type": "http.request", "body": json.dumps(message).encode(), "more_body": False})
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    streams = hub.of_this_process()
    asking = asyncio.ensure_future(application(scope(token), received.get, send))
    while not streams.count and not asking.done():
        await asyncio.sleep(0.01)
    received.put_nowait({"type": "http.disconnect"})
    await asking
    assert (streams.count, sent) == (0, [])
    await streams.shut()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
