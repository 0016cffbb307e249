"""What a web process reads for its streams: when it is woken, once for all, and a page at a time."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis

from agentapp.dispatch import teller
from agentapp.lifecycle import events_after
from agentapp.models import Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.streams import access, hub
from agentapp.streams.following import FollowTask
from agentapp.streams.hub import Hub
from agentapp.streams.reader import Reader
from tests.streams import long_histories
from tests.streams.sessions import close_all

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many places each reading had. Nobody looks without being woken."""
    counted: list[int] = []
    pages = events_after.pages

    def counting(wanted: Any, *, limit: int) -> Any:
        counted.append(len(wanted))
        return pages(wanted, limit=limit)

    monkeypatch.setattr(events_after, "pages", counting)
    monkeypatch.setattr(hub, "LOOK_S", 3_600.0)
    monkeypatch.setattr(hub, "LOOK_WITHOUT_WAKES_S", 3_600.0)
    yield counted


def with_hub(plot: Callable[[Hub], Awaitable[None]]) -> None:
    async def run() -> None:
        streams = Hub()
        try:
            async with asyncio.timeout(240):
                await plot(streams)
        finally:
            await close_all(streams)
            await streams.shut()

    asyncio.run(run())


def follow(streams: Hub, task: Workflow, principal: Principal, after: int = 0) -> Reader:
    return streams.open(FollowTask(access.of(principal), task.pk, after))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_a_wake_alone_makes_it_read(principal: Principal, readings: list[int], broker: redis.Redis) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})

    async def plot(streams: Hub) -> None:
        await until(lambda: streams._subscription.is_up)
        reader = follow(streams, task, principal)
        first = await reader.next()
        waiting = asyncio.ensure_future(reader.next())
        await asyncio.to_thread(workflows.cancel, principal, task.pk, reason="enough")
        broker.publish(teller.CHANNEL, json.dumps([str(task.pk)]))
        assert [event.type for event in await waiting][-1] == "done"
        assert first

    with_hub(plot)


@pytest.mark.parametrize("message", ["", "x", "1", "{}", '["x", 1, null]', "[" * 100_000, b"\xff"])
def test_a_message_that_is_none_of_ours_is_passed_over(
    principal: Principal, readings: list[int], broker: redis.Redis, message: Any
) -> None:
    async def plot(streams: Hub) -> None:
        await until(lambda: streams._subscription.is_up)
        for channel in (teller.CHANNEL, "agentapp.text"):
            broker.publish(channel, message)
        test = follow(streams, workflows_of_test[0], principal)
        assert await test.next()
        broker.publish(teller.CHANNEL, json.dumps([str(workflows_of_test[0].pk)]))
        await until(lambda: len(readings) > 1 or test.is_stale)
        assert streams._subscription.is_up and test.reason is None

    workflows_of_test = [workflows.submit(principal, kind="probe_fan", input={})]
    with_hub(plot)


def test_streams_at_one_place_share_what_is_read(
    principal: Principal, readings: list[int], broker: redis.Redis
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})

    async def plot(streams: Hub) -> None:
        readers = [follow(streams, task, principal) for _ in range(50)]
        pages = await asyncio.gather(*(reader.next() for reader in readers))
        assert all([event.id for event in page] == [event.id for event in pages[0]] for page in pages)

    with_hub(plot)
    assert sum(readings) <= 3


def test_who_does_not_take_a_page_gets_no_other(principal: Principal, readings: list[int]) -> None:
    task = long_histories.make(principal, events=1_000)

    async def plot(streams: Hub) -> None:
        reader = follow(streams, task, principal)
        streams._wake([task.pk])
        await until(lambda: not reader.wants)
        for _ in range(20):
            streams._wake([task.pk])
            await asyncio.sleep(0)
        assert readings == [1]
        assert len(await reader.next()) == 100

    with_hub(plot)


def test_a_cancelled_wait_loses_no_page(principal: Principal, readings: list[int]) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})

    async def plot(streams: Hub) -> None:
        reader = follow(streams, task, principal)
        waiting = asyncio.ensure_future(reader.next())
        await asyncio.sleep(0)
        waiting.cancel()
        assert next(event.id for event in await reader.next()) == "1"

    with_hub(plot)


def test_a_failing_loop_sends_clients_to_resume_and_begins_again(
    principal: Principal, readings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    pages, calls = events_after.pages, []

    def failing(wanted: Any, *, limit: int) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("a mistake of ours")
        return pages(wanted, limit=limit)

    monkeypatch.setattr(events_after, "pages", failing)
    monkeypatch.setattr(hub, "AGAIN_S", 0.0)

    async def plot(streams: Hub) -> None:
        first = follow(streams, task, principal)
        assert (list(await first.next()), first.reason) == ([], "stop")
        streams.close(first)
        assert await follow(streams, task, principal).next()

    with_hub(plot)


def test_a_thread_may_ask_whether_it_is_full_while_streams_come_and_go(
    principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[RuntimeError] = []
    is_over = threading.Event()

    async def plot(streams: Hub) -> None:
        monkeypatch.setattr(hub, "_hub", streams)

        def ask() -> None:
            while not is_over.is_set():
                try:
                    hub.is_full()
                except RuntimeError as error:
                    failures.append(error)

        def opened() -> Reader:
            return streams.open(FollowTask(access.of(principal), uuid4(), 0))

        held = [opened() for _ in range(2_000)]
        asking = asyncio.get_running_loop().run_in_executor(None, ask)
        for _ in range(30_000):
            streams.close(opened())
        is_over.set()
        await asking
        for reader in held:
            streams.close(reader)

    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with_hub(plot)
    finally:
        sys.setswitchinterval(before_s)
    assert not failures
