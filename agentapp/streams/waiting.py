"""Long polls: a request that waits until something happens to a task holds no thread and no connection meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agentapp.streams import hub, lines
from agentapp.streams.following import FollowTask
from agentapp.streams.lines import Receive
from agentapp.streams.reader import Reader

# What changes the state of a task, and not only how far it is.
STATES = ("task", "done", "reset")


@dataclass(frozen=True)
class Wait:
    """Until something happens behind the place of `follow`; `for_state`: until its state changes. `seconds` at most."""

    follow: FollowTask
    seconds: float
    for_state: bool


async def until_news(wait: Wait, receive: Receive) -> bool:
    """Wait; False when the client has gone."""
    streams = hub.of_this_process()
    reader = streams.open(wait.follow)
    news = asyncio.ensure_future(_news(reader, for_state=wait.for_state))
    gone = asyncio.ensure_future(lines.until(receive, "http.disconnect"))
    try:
        await asyncio.wait({news, gone}, timeout=wait.seconds, return_when=asyncio.FIRST_COMPLETED)
        return not gone.done()
    finally:
        streams.close(reader)
        for task in (news, gone):
            task.cancel()
        await asyncio.gather(news, gone, return_exceptions=True)


async def _news(reader: Reader, *, for_state: bool) -> None:
    """Return when there is news, or when the stream ends: the process stops, or the key may not read any longer."""
    while page := await reader.next():
        kinds = {event.type for event in page} - {"delta"}
        if kinds & set(STATES) if for_state else kinds:
            return
