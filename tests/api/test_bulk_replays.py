"""Dead letters of one kind, replayed together over the API."""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.dispatch import bulk
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def group(api: Api) -> dict[str, Any]:
    """Return the group of three dead letters that cannot succeed."""
    for _ in range(3):
        assert api.post("/tasks", {"kind": "probe_fan", "input": {"fail": "permanent"}}).status_code == 202
    harness.drain()
    (shown,) = api.get("/dead-letters/groups").json()["results"]
    found: dict[str, Any] = shown
    return found


def test_a_bulk_replay_is_accepted_watched_and_stops_itself(api: Api, group: dict[str, Any]) -> None:
    accepted = api.post("/dead-letters/replay", {"fingerprint": group["fingerprint"], "canary": 1, "batch": 2})

    assert accepted.status_code == 202
    shown = api.get(accepted.headers["Location"]).json()
    assert shown == accepted.json()
    assert (shown["state"], shown["total"], shown["waiting"], shown["canary"]) == ("canary", 3, 3, 1)
    assert (shown["fingerprint"], shown["type"], shown["left_out"]) == (group["fingerprint"], "probe_first", 0)
    bulk.go_on()
    assert api.get(accepted.headers["Location"]).json()["under_way"] == 1
    harness.drain()
    bulk.go_on()

    ended = api.get(accepted.headers["Location"]).json()
    assert (ended["state"], ended["failed"], ended["waiting"]) == ("aborted", 1, 2)
    assert ended["reason"] == "a canary failed again (1 of 1)" and ended["finished_at"]
    assert api.get("/dead-letter-replays").json()["results"] == [ended]


def test_a_second_click_is_told_of_the_first(api: Api, group: dict[str, Any]) -> None:
    first = api.post("/dead-letters/replay", {"type": "probe_first"}).json()
    assert first["id"] in problem_of(api.post("/dead-letters/replay", {"type": "probe_first"}), 409)["detail"]


def test_it_is_aborted_once(api: Api, group: dict[str, Any]) -> None:
    started = api.post("/dead-letters/replay", {"type": "probe_first"})
    address = f"{started.headers['Location']}/abort"

    stopped = api.post(address, {"reason": "wrong cause"}).json()

    assert stopped["state"] == "aborted" and stopped["reason"].endswith(": wrong cause")
    problem_of(api.post(address), 409)
    assert len(api.get("/dead-letters").json()["results"]) == 3


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "fingerprint"),
        ({"type": "probe_first", "fingerprint": "0" * 12}, "fingerprint"),
        ({"type": "probe_first", "canary": 0}, "canary"),
        ({"type": "probe_first", "batch": "all"}, "batch"),
        ({"type": "probe_first", "colour": "red"}, "colour"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(
    api: Api, group: dict[str, Any], body: dict[str, Any], path: str
) -> None:
    problem = problem_of(api.post("/dead-letters/replay", body), 422)
    assert [error["field"] for error in problem["errors"]] == [path]


def test_a_kind_that_nobody_has_is_a_404(api: Api, group: dict[str, Any]) -> None:
    problem_of(api.post("/dead-letters/replay", {"type": "nothing"}), 404)
