"""Lists of tasks: several states and kinds, what has changed since, and how many there are."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from agentapp.api import pages
from agentapp.models import Workflow
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


def submit(api: Api, kind: str = "probe_loop", **fields: Any) -> str:
    task: str = api.post("/tasks", {"kind": kind, "input": {}} | fields).json()["id"]
    return task


def ids(response: Any) -> set[str]:
    assert response.status_code == 200, response.content
    return {task["id"] for task in response.json()["results"]}


def test_of_several_states_and_kinds_any_fits(api: Api) -> None:
    done = submit(api)
    harness.drain()
    cancelled = submit(api, "probe_fan")
    api.post(f"/tasks/{cancelled}/cancel")
    waiting = submit(api, "probe_decision")

    assert ids(api.get("/tasks?state=completed&state=cancelled")) == {done, cancelled}
    assert ids(api.get("/tasks?kind=probe_fan&kind=probe_decision")) == {cancelled, waiting}
    assert ids(api.get("/tasks?state=pending&state=completed&kind=probe_decision&kind=probe_fan")) == {waiting}
    assert ids(api.get("/tasks?kind=nothing")) == set()
    problem = problem_of(api.get("/tasks?state=pending&state=asleep"), 400)
    assert problem["errors"][0]["field"] == "state.1" and "awaiting_approval" in problem["detail"]


@pytest.mark.django_db(transaction=True)
def test_tasks_are_filtered_by_their_last_change(api: Api) -> None:
    quiet, changed = submit(api), submit(api)
    moment = Workflow.objects.get(pk=changed).updated_at.isoformat().replace("+", "%2B")
    assert ids(api.get(f"/tasks?updated_after={moment}")) == {changed}
    api.post(f"/tasks/{quiet}/cancel")
    assert ids(api.get(f"/tasks?updated_after={moment}")) == {quiet, changed}
    assert ids(api.get(f"/tasks?updated_after={moment}&state=cancelled")) == {quiet}
    problem_of(api.get("/tasks?updated_after=yesterday"), 400)


def test_a_total_is_of_all_pages_and_of_the_filter(api: Api, other_api: Api) -> None:
    for kind in ("probe_loop", "probe_loop", "probe_fan"):
        submit(api, kind)
    submit(other_api)
    page = api.get("/tasks?total=true&limit=1&kind=probe_loop").json()
    assert (page["total"], page["total_is"], len(page["results"])) == (2, "exact", 1)
    assert "total" not in page["next"]
    assert set(api.get(page["next"]).json()) == {"results", "next"}
    assert api.get(page["next"] + "&total=true").json()["total"] == 2
    assert api.get("/approvals?total=true").json() == {"results": [], "next": None, "total": 0, "total_is": "exact"}
    assert set(api.get("/tasks?total=false").json()) == {"results", "next"}
    assert "true or false" in problem_of(api.get("/tasks?total=maybe"), 400)["detail"]


def test_what_is_more_than_can_be_counted_at_once_is_not_counted_to_its_end(
    api: Api, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(pages, "MOST_COUNTED", 2)
    for _ in range(2):
        submit(api)
    assert api.get("/tasks?total=true").json()["total_is"] == "exact"
    submit(api)
    with CaptureQueriesContext(connection) as caught:
        page = api.get("/tasks?total=true&limit=1").json()
    assert (page["total"], page["total_is"]) == (2, "at least")
    (counting,) = [query["sql"] for query in caught if "COUNT(*)" in query["sql"]]
    assert "LIMIT 3" in counting
