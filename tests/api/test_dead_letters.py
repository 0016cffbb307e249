"""Dead letters: listed, mended, replayed, given up."""

from __future__ import annotations

from typing import Any

import pytest

from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def letter(api: Api) -> dict[str, Any]:
    """Return a dead letter as the API shows it."""
    assert api.post("/tasks", {"kind": "probe_fan", "input": {"fail": "permanent"}}).status_code == 202
    harness.drain()
    (shown,) = api.get("/dead-letters").json()["results"]
    answer: dict[str, Any] = shown
    return answer


def test_a_mended_dead_letter_runs_to_the_end_of_its_task(api: Api, letter: dict[str, Any]) -> None:
    replayed = api.post(f"/dead-letters/{letter['id']}/replay", {"payload": {"text": "mended", "fail": ""}})
    assert replayed.status_code == 200
    assert (replayed.json()["id"], replayed.json()["state"]) == (letter["id"], "available")
    assert api.get("/dead-letters").json()["results"] == []

    harness.drain()
    task = api.get(f"/tasks/{letter['task']}").json()
    assert (task["state"], task["result"]["text"]) == ("completed", "MENDED")
    attempts = api.get(f"/jobs/{letter['id']}").json()["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["failed", "completed"]


def test_a_replay_without_a_payload_uses_the_old_one(api: Api, letter: dict[str, Any]) -> None:
    assert api.post(f"/dead-letters/{letter['id']}/replay").json()["payload"] == letter["payload"]
    problem_of(api.post(f"/dead-letters/{letter['id']}/replay"), 404)


@pytest.mark.parametrize("payload", [{}, {"text": 5}, {"text": "a", "colour": "red"}, [], "text"])
def test_a_payload_that_does_not_fit_the_job_type_changes_nothing(
    api: Api, letter: dict[str, Any], payload: Any
) -> None:
    problem = problem_of(api.post(f"/dead-letters/{letter['id']}/replay", {"payload": payload}), 422)
    assert problem["errors"][0]["field"].startswith("payload")
    assert api.get("/dead-letters").json()["results"] == [letter]


def test_a_dead_letter_that_is_given_up_cancels_its_task(api: Api, letter: dict[str, Any]) -> None:
    problem_of(api.post(f"/dead-letters/{letter['id']}/cancel"), 422)
    given_up = api.post(f"/dead-letters/{letter['id']}/cancel", {"reason": "not worth it"})
    assert given_up.json()["state"] == "cancelled"
    assert api.get(f"/tasks/{letter['task']}").json()["state"] == "cancelled"


def test_dead_letters_page_and_are_filtered_by_type(api: Api, letter: dict[str, Any]) -> None:
    api.post("/tasks", {"kind": "probe_fan", "input": {"fail": "permanent"}})
    harness.drain()
    first = api.get("/dead-letters", limit="1").json()
    second = api.get(first["next"]).json()
    assert (second["results"], second["next"]) == ([letter], None)
    assert api.get("/dead-letters", type="probe_sum").json()["results"] == []
    assert len(api.get("/dead-letters", type="probe_first").json()["results"]) == 2
