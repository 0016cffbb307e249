"""Cancelling many tasks: counted first, some at a time, and the same request goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock
from agentapp.models import History, Tenant, Workflow
from agentapp.services import cancellations
from agentapp.services.principals import Principal
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


def submit(api: Api, kind: str = "probe_loop", **fields: Any) -> str:
    task: str = api.post("/tasks", {"kind": kind, "input": {}} | fields).json()["id"]
    return task


def cancel(api: Api, filter: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = api.post("/tasks/cancel", {"filter": filter} | more)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def states(*tasks: str) -> list[str]:
    return [Workflow.objects.get(pk=task).state for task in tasks]


def test_a_dry_run_counts_and_changes_nothing(api: Api, other_api: Api) -> None:
    tasks = [submit(api), submit(api)]
    submit(api, "probe_fan")
    submit(other_api)
    counted = cancel(api, {"kind": ["probe_loop"]}, dry_run=True)
    assert counted == {"dry_run": True, "cancelled": [], "skipped": 0, "left": 2, "left_is": "exact"}
    assert states(*tasks) == ["pending", "pending"]


def test_the_same_request_goes_on_until_none_is_left(api: Api, other_api: Api) -> None:
    tasks = [submit(api) for _ in range(5)]
    others = [submit(api, "probe_fan"), submit(other_api)]
    seen, left = [], 1
    while left:
        answer = cancel(api, {"kind": ["probe_loop"]}, limit=2, reason="a wrong import")
        seen += answer["cancelled"]
        left = answer["left"]
    assert seen == tasks
    assert set(states(*tasks)) == {"cancelled"} and states(*others) == ["pending", "pending"]
    reasons = History.objects.filter(workflow_id=tasks[0], to_state="cancelled").values_list("reason", flat=True)
    assert "a wrong import" in reasons
    assert cancel(api, {"kind": ["probe_loop"]})["cancelled"] == []


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
    waiting = [submit(api, labels={"from": "import"}) for _ in range(2)]

    assert cancel(api, {"label": {"from": "import"}, "created_before": between.isoformat()})["cancelled"] == []
    assert cancel(api, {"state": ["pending", "awaiting_approval"], "label": {"from": "nowhere"}})["cancelled"] == []
    assert cancel(api, {"state": ["pending"], "created_after": between.isoformat()})["cancelled"] == waiting
    assert cancel(api, {"state": ["awaiting_approval"]})["cancelled"] == [decided]


def test_one_that_has_ended_meanwhile_is_skipped(api: Api, principal: Principal) -> None:
    tasks = [submit(api) for _ in range(3)]
    api.post(f"/tasks/{tasks[1]}/cancel")
    # As they were found a moment before.
    found = Workflow.objects.filter(pk__in=tasks).order_by("id")
    outcome = cancellations.cancel(principal, found, reason="", most=10)
    assert ([str(task) for task in outcome.cancelled], outcome.skipped) == ([tasks[0], tasks[2]], 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"filter": {"state": []}}, "filter"),
        ({"filter": {"state": ["completed"]}}, "filter.state.0"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"filter": {"kind": ["a"]}, "limit": 101}, "limit"),
        ({"filter": {"kind": ["a"]}, "dry_run": "yes"}, "dry_run"),
        ({"filter": {"created_before": "yesterday"}}, "filter.created_before"),
    ],
)
def test_a_filter_that_says_nothing_or_nonsense_cancels_nothing(api: Api, body: Any, field: str) -> None:
    task = submit(api)
    problem = problem_of(api.post("/tasks/cancel", body), 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert states(task) == ["pending"]


def test_it_needs_to_read_and_to_write(tenant: Tenant, make_key: Any) -> None:
    for scope in ("tasks:read", "tasks:write"):
        problem_of(Api(make_key(tenant, scope)[1]).post("/tasks/cancel", {"filter": {"kind": ["a"]}}), 403)
