"""Asking about a task again and again: what has not changed is not sent again, and the answer says when to ask next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock
from agentapp.models import Job, Workflow
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


def submit(api: Api, **fields: Any) -> str:
    task: str = api.post("/tasks", {"kind": "probe_decision", "input": {}} | fields).json()["id"]
    return f"/tasks/{task}"


def again(api: Api, path: str, tag: str) -> Any:
    return api.client.get(path, headers=api.headers | {"If-None-Match": tag})


def test_what_has_not_changed_is_not_sent_again(api: Api) -> None:
    path = submit(api)
    first = api.get(path)
    assert first.headers["ETag"].startswith('W/"')
    assert first.headers["Cache-Control"] == "private, no-cache"

    same = again(api, path, first.headers["ETag"])
    assert (same.status_code, same.content) == (304, b"")
    assert "Content-Type" not in same.headers
    for name in ("ETag", "Cache-Control", "Retry-After"):
        assert same.headers[name] == first.headers[name]

    harness.drain()
    changed = again(api, path, first.headers["ETag"])
    assert (changed.status_code, changed.json()["state"]) == (200, "awaiting_approval")
    assert again(api, path, f'"other", {changed.headers["ETag"]}').status_code == 304
    api.post(f"{path}/cancel")
    assert again(api, path, changed.headers["ETag"]).json()["state"] == "cancelled"


def test_a_place_in_a_queue_is_no_news_and_another_reason_is(api: Api) -> None:
    before = submit(api)
    path = submit(api)
    Job.objects.update(published_at=None)
    first = api.get(path)
    (reason,) = first.json()["blocked_by"]
    assert reason["position"] > 0

    api.post(f"{before}/cancel")

    moved = api.get(path)
    assert moved.json()["blocked_by"][0]["position"] < reason["position"]
    assert moved.headers["ETag"] == first.headers["ETag"]
    Job.objects.filter(workflow_id=path.rpartition("/")[2]).update(
        state="retryable", error={"class": "TransientError", "message": "busy"}
    )
    assert api.get(path).headers["ETag"] != first.headers["ETag"]


def test_a_task_that_is_over_says_so_and_costs_two_statements(api: Api, django_assert_num_queries: Any) -> None:
    path = submit(api, kind="probe_loop")
    harness.drain()
    over = api.get(path)
    assert "Retry-After" not in over.headers
    with django_assert_num_queries(2):
        assert again(api, path, over.headers["ETag"]).status_code == 304


def test_two_tasks_and_two_tenants_share_no_tag(api: Api, other_api: Api) -> None:
    path = submit(api)
    assert api.get(submit(api)).headers["ETag"] != api.get(path).headers["ETag"]
    problem_of(again(other_api, path, "*"), 404)


def test_the_answer_says_when_to_ask_again(api: Api) -> None:
    path = submit(api)
    assert api.get(path).headers["Retry-After"] == "2"
    harness.drain()
    assert api.get(path).headers["Retry-After"] == "30"
    in_an_hour = (clock.now() + timedelta(minutes=10)).isoformat()
    later = int(api.get(submit(api, run_at=in_an_hour)).headers["Retry-After"])
    assert 30 < later <= 600
    assert Workflow.objects.filter(state="scheduled").count() == 1
