"""Cancelling many tasks: counted first, then a record that the dispatcher works off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock
from agentapp.dispatch import bulk_cancel
from agentapp.models import BulkCancellation, History, Tenant, Workflow
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


def submit(api: Api, kind: str = "probe_loop", **fields: Any) -> str:
    task: str = api.post("/tasks", {"kind": kind, "input": {}} | fields).json()["id"]
    return task


def begin(api: Api, filter: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = api.post("/tasks/cancel", {"filter": filter} | more)
    assert response.status_code == 202, response.content
    answer: dict[str, Any] = response.json()
    assert api.get(response.headers["Location"]).json() == answer
    return answer


def cancel(api: Api, filter: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the record when it is worked off."""
    begun = begin(api, filter, **more)
    while bulk_cancel.go_on():
        pass
    shown: dict[str, Any] = api.get(f"/task-cancellations/{begun['id']}").json()
    return shown


def states(*tasks: str) -> list[str]:
    return [Workflow.objects.get(pk=task).state for task in tasks]


def test_a_dry_run_counts_and_changes_nothing(api: Api, other_api: Api) -> None:
    tasks = [submit(api), submit(api)]
    submit(api, "probe_fan")
    submit(other_api)
    counted = api.post("/tasks/cancel", {"filter": {"kind": ["probe_loop"]}, "dry_run": True})
    assert counted.status_code == 200
    assert counted.json() == {"dry_run": True, "total": 2, "total_is": "exact"}
    assert states(*tasks) == ["pending", "pending"] and not BulkCancellation.objects.exists()


def test_the_tasks_that_fit_now_are_cancelled_and_those_that_come_later_are_not(api: Api, other_api: Api) -> None:
    tasks = [submit(api) for _ in range(3)]
    others = [submit(api, "probe_fan"), submit(other_api)]
    begun = begin(api, {"kind": ["probe_loop"]}, reason="a wrong import")
    later = submit(api)
    assert (begun["state"], begun["total"], begun["waiting"]) == ("running", 3, 3)
    assert begun["filter"] == {"kind": ["probe_loop"]} and begun["started_by"].startswith("key:")

    while bulk_cancel.go_on():
        pass

    shown = api.get("/task-cancellations").json()["results"]
    assert [(each["state"], each["cancelled"], each["waiting"], each["failed"]) for each in shown] == [
        ("done", 3, 0, 0)
    ]
    assert states(*tasks) == ["cancelled"] * 3 and states(*others, later) == ["pending"] * 3
    told = History.objects.get(workflow_id=tasks[0], noun="workflow", to_state="cancelled")
    assert told.actor == begun["started_by"]
    assert told.reason == f"a wrong import (bulk cancellation {begun['id']})"


def test_every_part_of_a_filter_holds(api: Api, clock: clock.Clock) -> None:
    old = submit(api, labels={"from": "import", "n": "1"})
    clock.advance(60)
    middle, between = submit(api, labels={"from": "import"}), clock.now() + timedelta(seconds=30)
    clock.advance(60)
    new = submit(api, labels={"from": "import"})
    decided = submit(api, "probe_decision")
    harness.drain()
    over = states(old, middle, new)
    assert set(over) == {"completed"} and states(decided) == ["awaiting_approval"]
    waiting = [submit(api, labels={"from": "import"}, input={"text": f"number {n}"}) for n in range(2)]
    harness.index()

    for nothing in (
        {"label": {"from": "import"}, "created_before": between.isoformat()},
        {"state": ["pending", "awaiting_approval"], "label": {"from": "nowhere"}},
        {"q": "unspoken"},
        {"updated_after": (clock.now() + timedelta(seconds=30)).isoformat()},
    ):
        assert cancel(api, nothing)["total"] == 0
    assert cancel(api, {"q": '"number 1"'})["cancelled"] == 1
    assert states(*waiting) == ["pending", "cancelled"]
    assert cancel(api, {"state": ["pending"], "created_after": between.isoformat()})["cancelled"] == 1
    assert cancel(api, {"state": ["awaiting_approval"]})["cancelled"] == 1
    assert states(*waiting, decided) == ["cancelled"] * 3


def test_the_same_filter_is_worked_off_once_at_a_time_and_is_aborted_once(api: Api, other_api: Api) -> None:
    task = submit(api)
    begun = begin(api, {"kind": ["probe_loop"]})
    assert begun["id"] in problem_of(api.post("/tasks/cancel", {"filter": {"kind": ["probe_loop"]}}), 409)["detail"]
    begin(api, {"kind": ["probe_loop", "probe_fan"]})
    begin(other_api, {"kind": ["probe_loop"]})
    address = f"/task-cancellations/{begun['id']}/abort"
    problem_of(other_api.post(address), 404)
    problem_of(other_api.get(f"/task-cancellations/{begun['id']}"), 404)
    BulkCancellation.objects.exclude(pk=begun["id"]).delete()

    stopped = api.post(address, {"reason": "a mistake"}).json()

    assert stopped["state"] == "aborted" and stopped["reason"].endswith(": a mistake")
    assert bulk_cancel.go_on() == 0 and states(task) == ["pending"]
    problem_of(api.post(address), 409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"filter": {"state": []}}, "filter"),
        ({"filter": {"state": ["completed"]}}, "filter.state.0"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"filter": {"kind": ["a"]}, "limit": 100}, "limit"),
        ({"filter": {"kind": ["a"]}, "dry_run": "yes"}, "dry_run"),
        ({"filter": {"created_before": "yesterday"}}, "filter.created_before"),
        ({"filter": {"q": "x" * 201}}, "filter.q"),
    ],
)
def test_a_filter_that_says_nothing_or_nonsense_cancels_nothing(api: Api, body: Any, field: str) -> None:
    submit(api)
    problem = problem_of(api.post("/tasks/cancel", body), 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert not BulkCancellation.objects.exists()


def test_it_needs_to_read_and_to_write(tenant: Tenant, make_key: Any) -> None:
    for scope in ("tasks:read", "tasks:write"):
        problem_of(Api(make_key(tenant, scope)[1]).post("/tasks/cancel", {"filter": {"kind": ["a"]}}), 403)
