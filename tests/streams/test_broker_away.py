"""Redis only wakes: without it events come later, and all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from agentapp.local import ports
from agentapp.runtime import preview
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.api.live import Web
from tests.streams.conftest import serve
from tests.streams.following import following
from tests.streams.test_text import take, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def web_without_broker(django_db_setup: None) -> Iterator[Web]:
    with serve(env={"REDIS_URL": f"redis://127.0.0.1:{ports.free(1)[0]}/0"}) as served:
        yield served.web


@pytest.fixture(scope="module")
def web_without_any(django_db_setup: None) -> Iterator[Web]:
    with serve(env={"REDIS_URL": ""}) as served:
        yield served.web


@pytest.fixture
def refusing(broker: redis.Redis) -> Iterator[str]:
    """The address of the broker for a user that may neither subscribe nor run scripts."""
    broker.execute_command(
        "ACL", "SETUSER", "limited", "reset", "on", ">secret", "~*", "&*", "+@all", "-subscribe", "-eval"
    )
    address = urlsplit(os.environ["REDIS_URL"])
    yield urlunsplit(address._replace(netloc=f"limited:secret@{address.hostname}:{address.port}"))
    broker.execute_command("ACL", "DELUSER", "limited")


@pytest.fixture
def web_refused(refusing: str) -> Iterator[Web]:
    with serve(env={"REDIS_URL": refusing}) as served:
        yield served.web


@pytest.mark.parametrize("which", ["web_without_broker", "web_without_any", "web_refused"])
def test_without_a_broker_all_events_come(
    which: str, request: pytest.FixtureRequest, token: str, principal: Principal
) -> None:
    web: Web = request.getfixturevalue(which)
    task = workflows.submit(principal, kind="probe_fan", input={})
    with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
        told = stream.take(1)
        harness.drain(task)
        told += [event for event in stream if event.type != "end"]
    task.refresh_from_db()
    assert [event.seq for event in told] == list(range(1, task.seq + 1))


def test_a_body_goes_on_where_its_text_is_refused(
    principal: Principal, refusing: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = take(workflows.submit(principal, kind="probe_fan", input={}))
    settings.BROKER_URL = refusing
    with preview.of(job) as shown:
        write(shown, "one ", "two ")


def cut(broker: redis.Redis) -> None:
    broker.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def hang(broker: redis.Redis) -> None:
    broker.execute_command("CLIENT", "PAUSE", "2500", "ALL")


def empty(broker: redis.Redis) -> None:
    broker.flushall()


@pytest.mark.parametrize("disturb", [cut, hang, empty])
def test_a_broker_that_is_disturbed_costs_no_event(
    web: Web, token: str, principal: Principal, broker: redis.Redis, disturb: Callable[[redis.Redis], None]
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={"parts": list(range(20))})
    stop = threading.Event()

    def disturb_again() -> None:
        # It waits for its own pauses too.
        with redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=120) as own:
            while not stop.wait(0.3):
                disturb(own)

    disturbing = threading.Thread(target=disturb_again)
    try:
        with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
            told = stream.take(1)
            disturbing.start()
            harness.drain(task)
            told += [event for event in stream if event.type != "end"]
    finally:
        stop.set()
        disturbing.join()
    task.refresh_from_db()
    assert [event.seq for event in told] == list(range(1, task.seq + 1))
