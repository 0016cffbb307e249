"""Submitting, reading, listing and cancelling tasks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from agentapp import clock
from agentapp.models import Workflow
from agentapp.models.workflow import labelled
from agentapp.services.principals import Principal
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def submit(api: Api, **fields: Any) -> dict[str, Any]:
    response = api.post("/tasks", {"kind": "probe_fan", "input": {}} | fields)
    assert response.status_code == 202, response.content
    answer: dict[str, Any] = response.json()
    return answer


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [task["id"] for task in response.json()["results"]]


def test_a_submitted_task_is_accepted_with_its_address(api: Api) -> None:
    response = api.post("/tasks", {"kind": "probe_fan", "input": {"text": "hi"}, "labels": {"team": "a"}})

    assert response.status_code == 202
    task = response.json()
    assert response.headers["Location"] == f"/tasks/{task['id']}"
    assert api.get(response.headers["Location"]).json() == task
    assert Workflow.objects.get().pk.hex == task["id"].replace("-", "")


def test_a_text_that_speaks_of_the_character_nul_does_not_hold_it(api: Api) -> None:
    task = submit(api, input={"text": r"Why is \u0000 refused?"})

    assert api.get(f"/tasks/{task['id']}").json()["input"]["text"] == r"Why is \u0000 refused?"


def test_a_task_has_exactly_its_shape(api: Api) -> None:
    task = submit(api, input={"text": "hi", "parts": [1]}, priority="high", labels={"team": "a"})

    assert RFC_3339_UTC.fullmatch(task.pop("created_at"))
    task.pop("id")
    waits_for = task.pop("blocked_by")
    assert [(reason["type"], reason["queue"]) for reason in waits_for] == [("queue", "model")]
    assert RFC_3339_UTC.fullmatch(waits_for[0]["since"])
    assert task == {
        "kind": "probe_fan",
        "version": 1,
        "state": "pending",
        "priority": "high",
        "progress": {"stage": 1, "stages": 3, "jobs_done": 0, "jobs": task["progress"]["jobs"]},
        "input": {"text": "hi", "parts": [1], "fail": ""},
        "result": None,
        "error": None,
        "labels": {"team": "a"},
        "cost": {"tokens": 0, "usd": 0.0, "unpriced_calls": 0},
        "risk": "low",
        "callback_url": None,
        "notices": [],
        "forked_from": None,
        "continues": None,
        "schedule": None,
        "parent": None,
        "run_at": None,
        "started_at": None,
        "deadline_at": None,
        "estimated_start_at": None,
        "finished_at": None,
    }


def test_a_completed_task_shows_its_result_and_jobs(api: Api) -> None:
    task = submit(api)
    harness.drain()

    done = api.get(f"/tasks/{task['id']}").json()
    assert done["state"] == "completed"
    assert done["result"] == {"sum": 12, "text": "HELLO"}
    assert done["progress"] == {"stage": 3, "stages": 3, "jobs_done": 5, "jobs": 5}
    assert done["blocked_by"] == []

    jobs = api.get(f"/tasks/{task['id']}/jobs").json()["results"]
    assert [(job["stage"], job["part"]) for job in jobs] == [
        ("probe_first", 0), ("probe_part", 0), ("probe_part", 1), ("probe_part", 2), ("probe_sum", 0),
    ]  # fmt: skip
    assert all(job["task"] == task["id"] and job["state"] == "completed" for job in jobs)
    assert "payload" not in jobs[0]
    (attempt,) = jobs[0]["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["error"]) == (1, "completed", None)


def test_a_job_shows_its_payload_and_the_error_of_each_attempt(api: Api) -> None:
    task = submit(api, input={"fail": "permanent"})
    harness.drain()

    (letter,) = api.get("/dead-letters").json()["results"]
    job = api.get(f"/jobs/{letter['id']}").json()
    assert job | {"fingerprint": letter["fingerprint"]} == letter
    assert (job["task"], job["type"], job["state"]) == (task["id"], "probe_first", "dead_lettered")
    assert job["payload"] == {"text": "hello", "fail": "permanent"}
    assert "this can never work" in job["error"]["message"]
    assert "this can never work" in job["attempts"][0]["error"]["message"]
    assert "trace" not in job["attempts"][0]

    waiting = api.get(f"/tasks/{task['id']}").json()
    assert waiting["state"] == "needs_attention"
    assert waiting["blocked_by"][0]["type"] == "dead_letter"


def test_lists_page_through_everything_once_newest_first(api: Api) -> None:
    made = [submit(api)["id"] for _ in range(5)]
    seen, path = [], "/tasks?limit=2&kind=probe_fan"
    while path:
        page = api.get(path).json()
        assert len(page["results"]) <= 2
        seen += [task["id"] for task in page["results"]]
        path = page["next"]
        if len(seen) == 2:
            submit(api)  # a newcomer shifts nothing
    assert seen == sorted(made, reverse=True)


def test_the_last_page_has_no_next_even_when_it_is_full(api: Api) -> None:
    submit(api)
    assert api.get("/tasks", limit="1").json()["next"] is None
    assert api.get("/jobs").status_code == 404


def test_jobs_page_in_the_order_of_the_plan(api: Api) -> None:
    task = submit(api, input={"parts": list(range(7))})
    harness.drain()
    seen, path = [], f"/tasks/{task['id']}/jobs?limit=3"
    while path:
        page = api.get(path).json()
        seen += [(job["stage"], job["part"]) for job in page["results"]]
        path = page["next"]
    assert seen == [("probe_first", 0), *(("probe_part", part) for part in range(7)), ("probe_sum", 0)]


def test_a_cursor_of_another_list_is_refused(api: Api) -> None:
    task = submit(api)
    submit(api)
    cursor = api.get("/tasks", limit="1").json()["next"].partition("cursor=")[2]
    problem_of(api.get(f"/tasks/{task['id']}/jobs", cursor=cursor), 400)


def test_a_cursor_holds_for_its_own_list_with_its_own_filters(api: Api) -> None:
    """Otherwise it would skip rows of a list that it knows nothing of, without a word."""
    for _ in range(3):
        submit(api, labels={"team": "a"})
    following = api.get("/tasks", limit="1", kind="probe_fan", label="team:a").json()["next"]
    cursor = following.rpartition("cursor=")[2].partition("&")[0]

    assert len(ids(api.get(following))) == 1
    assert len(ids(api.get("/tasks/", limit="50", label="team:a", kind="probe_fan", cursor=cursor))) == 2
    for other in ({}, {"kind": "probe_fan"}, {"kind": "probe_loop", "label": "team:a"}):
        problem = problem_of(api.get("/tasks", cursor=cursor, **other), 400)
        assert "other filters" in problem["errors"][0]["message"]
    problem_of(api.get("/dead-letter-replays", cursor=cursor), 400)


def test_labels_are_looked_up_in_their_index() -> None:
    with connection.cursor() as cursor:
        # The table is empty, and would be read whole.
        cursor.execute("SET LOCAL enable_seqscan = off")

    assert "workflow_by_label" in Workflow.objects.filter(labelled({"team": "a"})).explain()


def test_tasks_are_filtered_by_state_kind_and_label(api: Api) -> None:
    done = submit(api, labels={"team": "a:b", "city": "Ulm"})["id"]
    harness.drain()
    waiting = submit(api, kind="probe_loop", labels={"team": "c"})["id"]

    assert ids(api.get("/tasks", state="completed")) == [done]
    assert ids(api.get("/tasks", state="pending")) == [waiting]
    assert ids(api.get("/tasks", kind="probe_loop")) == [waiting]
    assert ids(api.get("/tasks", label="team:a:b")) == [done]
    assert ids(api.get("/tasks?label=team:a:b&label=city:Ulm")) == [done]
    assert ids(api.get("/tasks?label=team:a:b&label=city:Rom")) == []
    assert ids(api.get("/tasks", state="completed", kind="probe_loop")) == []


def test_tasks_are_filtered_by_the_time_they_came(api: Api, clock: clock.Clock) -> None:
    first = submit(api)["id"]
    noon = clock.now()
    clock.advance(60)
    second = submit(api)["id"]

    middle = (noon + timedelta(seconds=30)).isoformat()
    assert ids(api.get("/tasks", created_after=middle)) == [second]
    assert ids(api.get("/tasks", created_before=middle)) == [first]
    assert ids(api.get("/tasks", created_after=noon.astimezone(UTC).isoformat().replace("+00:00", "Z"))) == [
        second,
        first,
    ]
    assert ids(api.get("/tasks", created_before=datetime(1, 1, 1, tzinfo=UTC).isoformat())) == []


def test_tasks_are_found_by_the_words_of_input_and_result(api: Api) -> None:
    task = submit(api, input={"text": 'Über "Rechnungen"\nund 100 % Rabatt'})["id"]
    other = submit(api, input={"text": "nothing of the kind"})["id"]
    harness.index()

    assert ids(api.get("/tasks", q="rechnung")) == [task]
    assert ids(api.get("/tasks", q='"Rechnungen und"')) == [task]
    assert ids(api.get("/tasks", q="rabatt -nothing")) == [task]
    assert ids(api.get("/tasks", q="100 %")) == [task]
    assert ids(api.get("/tasks", q='"und Rechnungen"')) == []
    # The name of a field is no text of it.
    assert ids(api.get("/tasks", q="parts")) == []
    assert api.get("/tasks", q="rabatt", total="true").json()["total"] == 1
    harness.drain()
    harness.index()
    assert ids(api.get("/tasks", q="NOTHING OF")) == [other]
    assert ids(api.get("/tasks", q="ÜBER", state="completed")) == [task]


def test_a_task_is_found_by_its_id_at_once(api: Api, other_api: Api) -> None:
    task = submit(api)["id"]

    for text in (task, task.upper(), f" {task} ", task[:-4], task.replace("-", "")):
        assert ids(api.get("/tasks", q=text)) == [task], text
        assert ids(other_api.get("/tasks", q=text)) == []


@pytest.mark.parametrize(
    "text",
    ["'", "''", '"', '"" ""', "\\", "!", "a & | b", "(", "<->", "a:*", "a:A", "tenant/1", "*", "-", "--", "-a",
     "a\ud7ff", "\u200b\u202e", "退款", "²", "%", "$$", "\t\n\r", "x" * 200, "🦀 " * 100, "-" * 200, "0" * 32,
     "12345678-"],
)  # fmt: skip
def test_no_text_that_is_looked_for_makes_an_error(api: Api, text: str) -> None:
    submit(api)
    harness.index()
    assert api.get("/tasks", q=text).status_code == 200


def test_a_cancelled_task_is_over_and_cannot_be_cancelled_again(api: Api) -> None:
    task = submit(api)
    cancelled = api.post(f"/tasks/{task['id']}/cancel", {"reason": "asked twice"})
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert {job["state"] for job in api.get(f"/tasks/{task['id']}/jobs").json()["results"]} == {"cancelled"}

    assert "cancelled" in problem_of(api.post(f"/tasks/{task['id']}/cancel"), 409)["detail"]


@pytest.mark.parametrize("reason", ["a\x00b", "half a pair: \ud83d"])
def test_a_reason_that_cannot_be_kept_is_named(api: Api, reason: str) -> None:
    task = api.submit().json()

    problem = problem_of(api.post(f"/tasks/{task['id']}/cancel", {"reason": reason}), 422)

    assert [error["field"] for error in problem["errors"]] == ["reason"]
    assert api.get(f"/tasks/{task['id']}").json()["state"] == "pending"


def test_addresses_work_with_a_slash_at_their_end(api: Api) -> None:
    response = api.post("/tasks/", {"kind": "probe_fan", "input": {}})
    assert response.status_code == 202
    assert ids(api.get("/tasks/")) == [response.json()["id"]]


def test_an_answer_is_not_kept_by_caches(api: Api) -> None:
    assert api.get("/tasks").headers["Cache-Control"] == "no-store"
    assert api.get(f"/tasks/{uuid4()}").headers["Cache-Control"] == "no-store"


def test_a_request_costs_one_select_for_its_key(api: Api, principal: Principal, django_assert_num_queries: Any) -> None:
    api.get("/tasks")
    with django_assert_num_queries(2):
        api.get("/tasks")


@pytest.mark.parametrize("zone", ["+21:10", "-23:59", "+15:59"])
def test_a_time_in_a_zone_that_postgres_does_not_take_is_read_all_the_same(api: Api, zone: str) -> None:
    for name in ("created_after", "created_before", "updated_after"):
        assert api.get("/tasks", **{name: f"2025-01-01T08:00:00{zone}"}).status_code == 200
    assert api.submit(run_at=f"2025-01-01T08:00:00{zone}").status_code in (202, 422)
