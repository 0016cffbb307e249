"""What a web process keeps of the texts of running jobs, while streams come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings

from agentapp.dispatch import previews, redis_client
from agentapp.streams import texts as module
from agentapp.streams.texts import ANSWER_S, Texts

RUN = b"12345678"
TASK, JOB = uuid4(), str(uuid4())


class Meanwhile:
    """The broker's client; something happens between its answer and who asked."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._client = redis_client.connect_async(settings.BROKER_URL, timeout_s=ANSWER_S)
        self._happens = happens

    async def eval(self, *arguments: Any) -> Any:
        answer = await self._client.eval(*arguments)
        self._happens()
        return answer


@pytest.fixture
def written(broker: redis.Redis) -> Iterator[str]:
    """The key of a text of the job."""
    key = previews.key(JOB, 1)
    broker.set(key, RUN + b"abc")
    yield key
    broker.delete(key)


def ask(texts: Texts, happens: Callable[[], None]) -> None:
    async def run() -> None:
        texts._client = Meanwhile(happens)
        await texts._ask([(TASK, JOB, 1)])

    asyncio.run(run())


def content(texts: Texts) -> dict[str, bytes]:
    return {job: text.content for job, text in texts.of(TASK).items()}


def test_a_text_of_a_task_that_nobody_follows_any_longer_is_not_kept(written: str) -> None:
    followed: set[UUID] = {TASK}
    texts = Texts(on_text=lambda task: None, is_followed=followed.__contains__)

    ask(texts, followed.clear)

    assert texts._kept == {}


def test_a_text_that_was_forgotten_while_its_rest_was_read_is_whole(written: str, broker: redis.Redis) -> None:
    texts = Texts(on_text=lambda task: None, is_followed=lambda task: True)
    ask(texts, lambda: None)
    broker.append(written, "def")

    # The last stream of the task ends, and another one begins.
    ask(texts, lambda: texts.keep(TASK, ()))

    assert content(texts) == {JOB: b"abcdef"}


class Silent(Meanwhile):
    """The broker's client; its first question gets no answer in time."""

    asked = 0

    async def eval(self, *arguments: Any) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise redis.TimeoutError("no answer in time")
        return await super().eval(*arguments)


def test_a_text_that_the_server_did_not_give_in_time_is_asked_for_again(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)

    async def run() -> None:
        told = asyncio.Event()
        texts = Texts(on_text=lambda task: told.set(), is_followed=lambda task: True)
        texts._client = Silent(lambda: None)
        asking = asyncio.ensure_future(texts.run())
        texts.want(TASK, JOB, 1)
        await told.wait()
        asking.cancel()
        assert content(texts) == {JOB: b"abc"}

    asyncio.run(run())
