"""Answers of a move of another release: unknown keys are ignored, new ones may be missing."""

from __future__ import annotations

from agentapp.ids import uuid7
from agentapp.lifecycle.opened import Claimed, Link, Opened
from agentapp.policies.intake import QueuePressure

LINK = {"id": "1", "type": "probe", "queue": "model", "priority": 2}


def test_links_of_a_later_release_are_read() -> None:
    opened = Opened.of({"opened": [LINK | {"shard": 3}], "tail": [LINK | {"held": None}], "epoch": 1})

    assert opened.jobs == opened.tail == (Link("1", "probe", "model", 2),)


def test_jobs_that_wait_are_counted_however_they_are_told() -> None:
    assert Opened.of({"opened": [LINK, LINK | {"held": True}], "held": 7}).held == 8


def test_a_pressure_of_a_later_release_is_read() -> None:
    assert QueuePressure.of({"waiting": 3, "lanes": [1, 2]}) == QueuePressure(waiting=3)


def test_a_claimed_job_of_a_later_release_is_read() -> None:
    token = uuid7()
    answer = {
        "id": str(uuid7()), "workflow": str(uuid7()), "root": str(uuid7()), "tenant": 1, "kind": "probe",
        "type": "probe", "queue": "model", "token": str(token), "attempt": 1, "max_attempts": 5, "timeout_s": 60,
        "shard": 3,
    }  # fmt: skip

    assert (Claimed.of(answer).token, Claimed.of(answer).payload) == (token, {})
