"""Dead letters: listed, grouped, fixed, replayed, finished by hand, given up."""

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


def test_a_fixed_dead_letter_runs_to_the_end_of_its_task(api: Api, letter: dict[str, Any]) -> None:
    replayed = api.post(f"/dead-letters/{letter['id']}/replay", {"payload": {"text": "fixed", "fail": ""}})
    assert replayed.status_code == 200
    assert (replayed.json()["id"], replayed.json()["state"]) == (letter["id"], "available")
    assert api.get("/dead-letters").json()["results"] == []

    harness.drain()
    task = api.get(f"/tasks/{letter['task']}").json()
    assert (task["state"], task["result"]["text"]) == ("completed", "FIXED")
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


def test_a_dead_letter_goes_back_to_an_earlier_stage(api: Api) -> None:
    assert api.post("/tasks", {"kind": "probe_all", "input": {"fail": "permanent"}}).status_code == 202
    harness.drain()
    letter = api.get("/dead-letters").json()["results"][0]

    again = api.post(f"/dead-letters/{letter['id']}/replay", {"from_stage": "probe_part"})

    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    task = api.get(f"/tasks/{letter['task']}").json()
    assert (task["state"], task["progress"]) == ("running", {"stage": 2, "stages": 3, "jobs_done": 0, "jobs": 4})
    problem_of(api.post(f"/dead-letters/{letter['id']}/replay", {"from_stage": "probe_part"}), 404)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"from_stage": "probe_sum"}, "from_stage"),
        ({"from_stage": "probe_first", "payload": {"text": "a"}}, "payload"),
        ({"effect_happened": True}, "effect_happened"),
        ({"effect_happened": "no"}, "effect_happened"),
        ({"from": "probe_first"}, "from"),
    ],
)
def test_a_replay_that_makes_no_sense_changes_nothing(
    api: Api, letter: dict[str, Any], body: dict[str, Any], path: str
) -> None:
    problem = problem_of(api.post(f"/dead-letters/{letter['id']}/replay", body), 422)
    assert [error["field"] for error in problem["errors"]] == [path]
    assert api.get("/dead-letters").json()["results"] == [letter]


def test_an_output_is_entered_by_hand(api: Api, letter: dict[str, Any]) -> None:
    address = f"/dead-letters/{letter['id']}/resolve"
    for body, path in (
        ({"output": {}}, "reason"),
        ({"output": [], "reason": "a"}, "output"),
        ({"reason": "a"}, "output"),
    ):
        assert [error["field"] for error in problem_of(api.post(address, body), 422)["errors"]] == [path]

    done = api.post(address, {"output": {"text": "BY HAND", "priority": 2, "risk": "low"}, "reason": "typed it in"})

    assert (done.status_code, done.json()["state"], done.json()["output"]["text"]) == (200, "completed", "BY HAND")
    harness.drain()
    assert api.get(f"/tasks/{letter['task']}").json()["result"] == {"sum": 12, "text": "BY HAND"}
    problem_of(api.post(address, {"output": {}, "reason": "again"}), 404)


def test_the_client_of_a_dead_letter_is_notified(api: Api, letter: dict[str, Any]) -> None:
    address = f"/dead-letters/{letter['id']}/notify"
    for body in ({}, {"text": " "}, {"text": 5}, {"text": "a" * 2_001}):
        assert [error["field"] for error in problem_of(api.post(address, body), 422)["errors"]] == ["text"]

    task = api.post(address, {"text": "We look into it."}).json()

    assert [(notice["text"], notice["job"]) for notice in task["notices"]] == [("We look into it.", letter["id"])]
    assert api.post(address, {"text": "We look into it."}).json()["notices"] == task["notices"]
    assert api.get(f"/tasks/{letter['task']}").json()["notices"] == task["notices"]
    events = api.get(f"/tasks/{letter['task']}/events").json()["results"]
    assert [event["data"]["text"] for event in events if event["type"] == "notice"] == ["We look into it."]


def test_equal_failures_stand_in_one_group(api: Api, letter: dict[str, Any]) -> None:
    api.post("/tasks", {"kind": "probe_fan", "input": {"fail": "permanent", "text": "other"}})
    api.post("/tasks", {"kind": "probe_all", "input": {"fail": "permanent", "parts": [1]}})
    harness.drain()

    first, second = api.get("/dead-letters/groups").json()["results"]

    assert (first["type"], first["count"], second["type"], second["count"]) == ("probe_first", 2, "probe_part", 1)
    assert first["error"] == {"class": "PermanentError", "message": "this can never work"}
    assert first["first_seen"] < first["last_seen"] and second["first_seen"] == second["last_seen"]
    assert letter["fingerprint"] == first["fingerprint"] != second["fingerprint"]
    alike = api.get("/dead-letters", fingerprint=first["fingerprint"]).json()["results"]
    assert [found["type"] for found in alike] == ["probe_first", "probe_first"]
    assert api.get("/dead-letters", fingerprint="0" * 12).json()["results"] == []
    assert len(api.get("/dead-letters/groups", type="probe_part").json()["results"]) == 1
    assert len(api.get("/dead-letters/groups", limit="1").json()["results"]) == 1
    problem_of(api.get("/dead-letters/groups", cursor="a"), 400)


def test_groups_cost_one_statement_however_many_letters(
    api: Api, letter: dict[str, Any], django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        api.post("/tasks", {"kind": "probe_fan", "input": {"fail": "permanent"}})
    harness.drain()
    api.get("/kinds")
    with django_assert_num_queries(2):  # one of them looks up the key
        api.get("/dead-letters/groups")
