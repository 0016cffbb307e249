"""The one subscription of a web process: which tasks have changed, as workers, dispatchers and other webs tell.

A broker that is away, or that hangs, is noticed within seconds, and tried again every second. What it did not tell
meanwhile is found by looking.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.conf import settings

from agentapp.dispatch import redis_client
from agentapp.policies import faults
from agentapp.policies.faults import Fault

logger = logging.getLogger(__name__)

CHANGES = "agentapp.changes"
ANSWER_S = 2.0
# A channel on which nothing comes may be a connection that is gone.
QUIET_S = 5.0
AGAIN_S = 1.0


class Subscription:
    """`is_up` while wakes come. `on_up` is called whenever they begin to: before, some may have been missed."""

    def __init__(self, *, on_changes: Callable[[Iterable[UUID]], None], on_up: Callable[[], None]) -> None:
        self.is_up = False
        self._on_changes = on_changes
        self._on_up = on_up

    async def run(self) -> None:
        """Listen until cancelled; with a broker that cannot tell, never."""
        while redis_client.speaks_redis(settings.BROKER_URL):
            with faults.caught(Fault.OUTAGE, Fault.LIMIT) as caught:
                await self._listen()
            if self.is_up:
                logger.warning("streams look for changes themselves: %s", caught.error)
            self.is_up = False
            await asyncio.sleep(AGAIN_S)

    async def _listen(self) -> None:
        async with (
            redis_client.connect_async(settings.BROKER_URL, timeout_s=ANSWER_S) as client,
            client.pubsub() as channel,
        ):
            await channel.subscribe(CHANGES)
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
            self.is_up = True
            self._on_up()
        elif message["type"] == "message":
            self._on_changes(_ids(message["data"]))


def _ids(data: Any) -> list[UUID]:
    """Read the ids of a message. It may come from anybody who reaches the broker: what is none is passed over."""
    try:
        found = json.loads(data)
        return [UUID(text) for text in found if isinstance(text, str)] if isinstance(found, list) else []
    except (ValueError, RecursionError):
        return []
