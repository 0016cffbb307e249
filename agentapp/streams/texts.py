"""The texts of running jobs that somebody follows, as far as they are written.

A process keeps one copy of each, and asks the broker's server for what is new when it is told that there is something.
Only a preview: without that server there is none, and nothing else suffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.dispatch import previews, redis_client
from agentapp.policies import faults
from agentapp.policies.faults import Fault

ANSWER_S = 1.0
AT_ONCE = 100
# When to ask again for texts that the server did not give.
AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Text:
    """What an attempt has written so far; `run` marks where it comes from, and another run begins again."""

    attempt: int
    run: bytes
    content: bytes


class Texts:
    """The texts of tasks that `is_followed` here; `on_text` hears which task has more of it."""

    def __init__(self, *, on_text: Callable[[UUID], None], is_followed: Callable[[UUID], bool]) -> None:
        self._on_text = on_text
        self._is_followed = is_followed
        self._kept: dict[UUID, dict[str, Text]] = {}
        self._wanted: dict[tuple[UUID, str, int], None] = {}
        self._is_wanted = asyncio.Event()
        self._client: Any = None

    def of(self, task: UUID) -> Mapping[str, Text]:
        return self._kept.get(task, {})

    def want(self, task: UUID, job: str, attempt: int) -> None:
        """There may be more of a text of a task that is followed."""
        known = self._kept.get(task, {}).get(job)
        if known is None or known.attempt <= attempt:
            self._wanted[task, job, attempt] = None
            self._is_wanted.set()

    def keep(self, task: UUID, jobs: Iterable[str]) -> None:
        """Forget the texts of a task but those of these jobs."""
        if kept := self._kept.get(task):
            running = set(jobs)
            self._kept[task] = {job: text for job, text in kept.items() if job in running}
            if not self._kept[task]:
                del self._kept[task]

    async def run(self) -> None:
        """Ask for what is wanted, until cancelled. What the server did not give is wanted again."""
        while redis_client.address():
            await self._is_wanted.wait()
            taken = list(self._wanted)[:AT_ONCE]
            for place in taken:
                del self._wanted[place]
            if not self._wanted:
                self._is_wanted.clear()
            with faults.caught(Fault.OUTAGE, Fault.LIMIT) as caught, redis_client.dispensable():
                await self._ask(taken)
            if caught.error is not None:
                await asyncio.sleep(AGAIN_S)
                for place in taken:
                    if self._is_followed(place[0]):
                        self.want(*place)

    async def _ask(self, places: list[tuple[UUID, str, int]]) -> None:
        if self._client is None:
            self._client = redis_client.connect_async(redis_client.address(), timeout_s=ANSWER_S)
        keys = [previews.key(job, attempt) for _, job, attempt in places]
        before = [self._known(*place) for place in places]
        known_bytes = [len(known.content) if known else 0 for known in before]
        answers = await self._client.eval(previews.READ, len(keys), *keys, previews.RUN_CHARACTERS, *known_bytes)
        again = []
        for n, (task, job, attempt) in enumerate(places):
            run, more = answers[2 * n], answers[2 * n + 1]
            known = before[n]
            if not self._is_followed(task):
                # Its last stream ended meanwhile.
                continue
            if known is not None and run and known.run != run:
                self._kept.get(task, {}).pop(job, None)
                again.append((task, job, attempt))
            elif more:
                self._kept.setdefault(task, {})[job] = Text(attempt, run, (known.content if known else b"") + more)
                self._on_text(task)
        for place in again:
            self.want(*place)

    def _known(self, task: UUID, job: str, attempt: int) -> Text | None:
        found = self._kept.get(task, {}).get(job)
        return found if found and found.attempt == attempt else None
