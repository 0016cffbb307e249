"""Valkey is killed and stays away: tasks are still accepted, and done when it is back. [A1]"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.deployment import Deployment, until
from tests.acceptance.test_flower import QUESTION

pytestmark = pytest.mark.acceptance


@contextmanager
def valkey_is_dead(deployment: Deployment) -> Iterator[None]:
    """Kill Valkey, and hide its configuration so that it cannot start again before the block ends."""
    configuration = deployment.home / "valkey" / "valkey.conf"
    hidden = configuration.rename(configuration.with_suffix(".hidden"))
    try:
        deployment.kill("valkey")
        yield
    finally:
        hidden.rename(configuration)


def broker(deployment: Deployment) -> str:
    """What the web says about the broker."""
    return str(deployment.ask("GET", "/readyz").json()["broker"])


def test_tasks_are_accepted_without_valkey_and_done_when_it_is_back(deployment: Deployment) -> None:
    early = deployment.submit("support_reply", **QUESTION)
    with valkey_is_dead(deployment):
        late = [deployment.submit("support_reply", **QUESTION) for _ in range(3)]
        assert {deployment.task(task)["state"] for task in late} == {"pending"}
        until(lambda: broker(deployment) == "down", "the web misses the broker")

    for task in [early, *late]:
        deployment.reach(task, "awaiting_approval")
    until(lambda: broker(deployment) == "up", "the web has the broker back")
    for task in [early, *late]:
        deployment.approve(task)
        deployment.reach(task, "completed")
        assert {len(job["attempts"]) for job in deployment.jobs(task)} == {1}
