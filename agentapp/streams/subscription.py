"""The one subscription of a web process: which tasks have changed, as workers, dispatchers and other webs tell.

A broker that is away, or that hangs, is noticed within seconds, and tried again every second. What it did not tell
meanwhile is found by looking.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from agentapp.dispatch import previews, redis_client, teller
from agentapp.policies import faults
from agentapp.policies.faults import Fault

logger = logging.getLogger(__name__)

ANSWER_S = 1.0
# A channel on which nothing comes may be a connection that is gone.
QUIET_S = 2.0
AGAIN_S = 1.0


class Subscription:
    """`is_up` while wakes come. `on_up` is called whenever they begin to: before, some may have been missed."""

    def __init__(
        self, *, on_changes: Callable[[Iterable[UUID]], None], on_text: Callable[[UUID, str, int], None],
        on_up: Callable[[], None],
    ) -> None:  # fmt: skip
        self.is_up = False
        self._on_changes = on_changes
        self._on_text = on_text
        self._on_up = on_up

    async def run(self) -> None:
        """Listen until cancelled; without a Redis or Valkey, never."""
        while redis_client.address():
            with faults.caught(Fault.OUTAGE, Fault.LIMIT) as caught, redis_client.dispensable():
                await self._listen()
            if self.is_up:
                logger.warning("streams look for changes themselves: %s", caught.error)
            self.is_up = False
            await asyncio.sleep(AGAIN_S)

    async def _listen(self) -> None:
        async with (
            redis_client.connect_async(redis_client.address(), timeout_s=ANSWER_S) as client,
            client.pubsub() as channel,
        ):
            await channel.subscribe(teller.CHANNEL, previews.CHANNEL)
            is_asked = False
            while True:
                message = await channel.get_message(timeout=ANSWER_S if is_asked or not self.is_up else QUIET_S)
                if message is None:
                    if is_asked or not self.is_up:
                        raise TimeoutError("the broker does not answer")
                    await channel.ping()
                    is_asked = True
                    continue
                is_asked = False
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            if message["channel"] == previews.CHANNEL.encode():
                # The second of two.
                self.is_up = True
                self._on_up()
        elif message["type"] == "message":
            found = _parsed(message["data"])
            if message["channel"] == teller.CHANNEL.encode():
                self._on_changes(task for task in map(_id, found) if task)
            elif len(found) == 3 and (task := _id(found[0])) and (job := _id(found[1])) and isinstance(found[2], int):
                self._on_text(task, str(job), found[2])


def _parsed(data: Any) -> list[Any]:
    """Read a message. It may come from anybody who reaches the broker: what is none of ours is passed over."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(data)
        return found if isinstance(found, list) else []
    return []


def _id(value: Any) -> UUID | None:
    with contextlib.suppress(ValueError):
        return UUID(value) if isinstance(value, str) else None
    return None
