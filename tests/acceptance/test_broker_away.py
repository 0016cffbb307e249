"""Valkey is killed and stays away: tasks are accepted all the same, and done when it is back. [A1]"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.house import House, until
from tests.acceptance.test_flower import QUESTION

pytestmark = pytest.mark.acceptance


@contextmanager
def valkey_is_dead(house: House) -> Iterator[None]:
    """Kill Valkey, and hide its configuration so that it cannot start again before the block ends."""
    configuration = house.home / "valkey" / "valkey.conf"
    hidden = configuration.rename(configuration.with_suffix(".hidden"))
    try:
        house.kill("valkey")
        yield
    finally:
        hidden.rename(configuration)


def broker(house: House) -> str:
    """What the web says about the broker."""
    return str(house.ask("GET", "/readyz").json()["broker"])


def test_tasks_are_accepted_without_valkey_and_done_when_it_is_back(house: House) -> None:
    early = house.submit("support_reply", **QUESTION)
    with valkey_is_dead(house):
        late = [house.submit("support_reply", **QUESTION) for _ in range(3)]
        assert {house.task(task)["state"] for task in late} == {"pending"}
        until(lambda: broker(house) == "down", "the web misses the broker")

    for task in [early, *late]:
        house.reach(task, "awaiting_approval")
    until(lambda: broker(house) == "up", "the web has the broker back")
    for task in [early, *late]:
        house.approve(task)
        house.reach(task, "completed")
        assert {len(job["attempts"]) for job in house.jobs(task)} == {1}
