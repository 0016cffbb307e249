"""Valkey is killed and stays away: tasks are accepted all the same, and done when it is back. [A1]"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.acceptance.house import House, until
from tests.acceptance.test_flower import QUESTION

pytestmark = pytest.mark.acceptance


@contextmanager
def valkey_is_dead(house: House) -> Iterator[None]:
    """Kill Valkey, and keep its port so that it cannot come back before the block ends."""
    port = urlsplit(house.about["redis_url"]).port
    house.kill("valkey")
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until(lambda: is_bound(squatter, port), f"port {port} is ours")
        yield


def is_bound(squatter: socket.socket, port: int | None) -> bool:
    try:
        squatter.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_tasks_are_accepted_without_valkey_and_done_when_it_is_back(house: House) -> None:
    early = house.submit("support_reply", **QUESTION)
    with valkey_is_dead(house):
        late = [house.submit("support_reply", **QUESTION) for _ in range(3)]
        assert {house.task(task)["state"] for task in late} == {"pending"}
        assert house.ask("GET", "/readyz").json()["broker"] == "down"

    for task in [early, *late]:
        house.reach(task, "awaiting_approval")
    until(lambda: house.ask("GET", "/readyz").json()["broker"] == "up", "the web has the broker back")
    for task in [early, *late]:
        house.approve(task)
        house.reach(task, "completed")
        assert {len(job["attempts"]) for job in house.jobs(task)} == {1}
