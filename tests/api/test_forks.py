"""POST /tasks/{id}/fork: a new task from the middle of an earlier one. [A7]"""

from __future__ import annotations

from typing import Any

import pytest

from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(api: Api) -> dict[str, Any]:
    """Return a task that waits for its decision."""
    assert api.post("/tasks", {"kind": "probe_decision", "input": {"text": "first"}}).status_code == 202
    harness.drain()
    (shown,) = api.get("/tasks").json()["results"]
    found: dict[str, Any] = shown
    return found


def test_a_fork_is_accepted_and_says_where_it_comes_from(api: Api, task: dict[str, Any]) -> None:
    forked = api.post(f"/tasks/{task['id']}/fork", {"from_stage": "probe_ask"})

    assert forked.status_code == 202
    shown = api.get(forked.headers["Location"]).json()
    assert (shown["forked_from"], task["forked_from"]) == (task["id"], None)
    assert shown["progress"] == {"stage": 2, "stages": 4, "jobs_done": 1, "jobs": 3}
    assert forked.json() == shown | {"already_sent": []}
    harness.drain()
    assert api.get(forked.headers["Location"]).json()["state"] == "awaiting_approval"
    (first, *_) = api.get(f"{forked.headers['Location']}/jobs").json()["results"]
    assert (first["state"], first["output"]["text"], first["attempts"]) == ("completed", "FIRST", [])


def test_a_fork_says_what_was_sent_and_is_not_sent_again(api: Api, task: dict[str, Any]) -> None:
    (asked,) = api.get("/approvals", task=task["id"]).json()["results"]
    api.post(f"/approvals/{asked['id']}/decision", {"decision": "approve", "content_sha256": asked["content_sha256"]})
    harness.drain()

    (sent,) = api.post(f"/tasks/{task['id']}/fork", {"from_stage": "probe_ask"}).json()["already_sent"]
    assert (sent["task"], sent["type"], sent["is_certain"]) == (task["id"], "probe", True)


def test_an_edited_input_is_what_the_fork_reads(api: Api, task: dict[str, Any]) -> None:
    forked = api.post(f"/tasks/{task['id']}/fork", {"from_stage": "probe_first", "input": {"text": "second"}}).json()
    harness.drain()
    (approval,) = api.get("/approvals", task=forked["id"]).json()["results"]
    assert (forked["input"]["text"], approval["content"]["body"]) == ("second", "SECOND")


@pytest.mark.parametrize("body", [{}, {"from_stage": None}, {"from_stage": "nothing"}])
def test_without_a_stage_the_answer_lists_them(api: Api, task: dict[str, Any], body: dict[str, Any]) -> None:
    problem = problem_of(api.post(f"/tasks/{task['id']}/fork", body), 422)
    assert "probe_first, probe_ask, approval." in problem["detail"]
    assert problem["errors"][0]["field"] == "from_stage"


def test_a_stage_behind_the_decision_is_refused_with_the_reason(api: Api, task: dict[str, Any]) -> None:
    problem = problem_of(api.post(f"/tasks/{task['id']}/fork", {"from_stage": "probe_tell"}), 422)
    assert "an approval is good for one run. Start at approval or earlier" in problem["detail"]


def test_a_stage_that_was_not_reached_is_a_409(api: Api) -> None:
    task = api.post("/tasks", {"kind": "probe_decision", "input": {}}).json()
    problem = problem_of(api.post(f"/tasks/{task['id']}/fork", {"from_stage": "probe_ask"}), 409)
    assert "It has reached: probe_first." in problem["detail"]


def test_an_input_that_does_not_fit_is_named(api: Api, task: dict[str, Any]) -> None:
    body = {"from_stage": "probe_first", "input": {"colour": "red"}}
    assert problem_of(api.post(f"/tasks/{task['id']}/fork", body), 422)["errors"][0]["field"] == "input.colour"
    assert len(api.get("/tasks").json()["results"]) == 1


def test_a_deadline_is_shown(api: Api) -> None:
    task = api.post("/tasks", {"kind": "probe_loop", "input": {}, "deadline_s": 60}).json()
    assert api.get(f"/tasks/{task['id']}").json()["deadline_at"] > task["created_at"]


def test_a_wrong_stage_and_a_wrong_input_are_named_at_once(api: Api, task: dict[str, Any]) -> None:
    body = {"from_stage": "nowhere", "input": {"text": 7, "colour": "red"}}
    problem = problem_of(api.post(f"/tasks/{task['id']}/fork", body), 422)
    assert {error["field"] for error in problem["errors"]} == {"from_stage", "input.text", "input.colour"}
