"""Waiting for a task without a thread and without a connection: as the streams do it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from agentapp.mcp_server import answers, arguments, threads, tools
from agentapp.services.api_keys import BadKey
from agentapp.services.principals import Principal
from agentapp.streams import access, hub
from agentapp.streams.following import FollowTask
from agentapp.streams.reader import Reader


async def wait_for_task(principal: Principal, wanted: arguments.WaitForTask) -> answers.Task:
    """Return a task when it is settled, when the time is over, or when the process is told to end.

    Raises:
        NotFound: as for an id that nobody has.
        BadKey: the key may not read any longer.
    """
    state, seq = await threads.call(tools.place, principal, wanted.task_id)
    if state not in answers.SETTLED:
        streams = hub.of_this_process()
        reader = streams.open(FollowTask(access.of(principal), wanted.task_id, seq))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wanted.timeout_s):
                    await _settled(reader)
        finally:
            streams.close(reader)
        if reader.reason == "access":
            raise BadKey("The API key is revoked, has expired, or its tenant is suspended. Ask for a new one.")
    return await threads.call(tools.get_task, principal, wanted)


async def _settled(reader: Reader) -> None:
    while reader.reason is None:
        for event in await reader.next():
            if event.type in ("task", "done") and json.loads(event.data)["state"] in answers.SETTLED:
                return
