"""/schedules as a client uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentapp.models import ApiKey, Schedule, ScheduleRun, Tenant, Workflow
from agentapp.services import schedules
from tests.api.conftest import Api, problem_of
from tests.harness import drain

pytestmark = pytest.mark.django_db

MORNING = {
    "name": "Morning", "kind": "probe_fan", "input": {"parts": [1]}, "cron": "0  8 * * 1-5",
    "timezone": "Europe/Berlin",
}  # fmt: skip


def make(api: Api, **more: Any) -> dict[str, Any]:
    answer = api.post("/schedules", MORNING | more)
    assert answer.status_code == 201, answer.content
    shown: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/schedules/{shown['id']}"
    return shown


@pytest.mark.usefixtures("clock")
def test_a_schedule_is_made_shown_listed_and_deleted(api: Api) -> None:
    made = make(api)

    assert (made["cron"], made["every_s"], made["catch_up"], made["overlap"]) == ("0 8 * * 1-5", None, "once", "skip")
    # The clock stands at noon of a Tuesday.
    assert made["next_at"] == "2030-01-02T07:00:00.000000Z"
    assert [time[:10] for time in made["upcoming"]] == [f"2030-01-0{day}" for day in (2, 3, 4, 7, 8)]
    assert made["input"] == {"parts": [1], "text": "hello", "fail": ""}

    assert api.get(f"/schedules/{made['id']}").json() == made
    assert api.get("/schedules").json()["results"] == [made]
    assert api.delete(f"/schedules/{made['id']}").status_code == 204
    problem_of(api.get(f"/schedules/{made['id']}"), 404)


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"cron": "0 8 * *"}, "cron", "five fields"),
        ({"cron": "0 0 8 * * *"}, "cron", "five fields"),
        ({"cron": "99 8 * * *"}, "cron", "Bad minute"),
        ({"cron": ""}, "cron", "either"),
        ({"every_s": 600}, "cron", "either"),
        ({"cron": "", "every_s": 1}, "every_s", "between 10"),
        ({"cron": "", "every_s": 10**12}, "every_s", "between 10"),
        ({"cron": "", "every_s": -5}, "every_s", "between 10"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Europe/Berlin"),
        ({"catch_up": "maybe"}, "catch_up", "skip, once, all"),
        ({"overlap": "maybe"}, "overlap", "skip, allow"),
        ({"kind": "nothing"}, "kind", "no task kind"),
        ({"input": {"surplus": 1}}, "input.surplus", "no such field"),
        ({"priority": "now"}, "priority", "no priority"),
        ({"deadline_s": 0.1}, "deadline_s", "between 1"),
        ({"name": " "}, "name", "1 to 100"),
        ({"name": "x" * 101}, "name", "1 to 100"),
        ({"name": "a\x00b"}, "name", ""),
        ({"surplus": 1}, "surplus", "no such field"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_stored(api: Api, more: Any, field: str, words: str) -> None:
    problem = problem_of(api.post("/schedules", MORNING | more), 422)

    assert {error["field"]: words in error["message"] for error in problem["errors"]} == {field: True}
    assert not Schedule.objects.exists()


def test_all_that_is_wrong_is_said_at_once(api: Api) -> None:
    wrong = {"cron": "x", "timezone": "Mars", "kind": "nothing", "name": "", "priority": "now"}

    problem = problem_of(api.post("/schedules", MORNING | wrong), 422)

    assert {error["field"] for error in problem["errors"]} == set(wrong)


def test_a_name_stands_for_one_schedule_of_a_tenant(api: Api, other_api: Api) -> None:
    make(api)
    make(other_api)

    assert problem_of(api.post("/schedules", MORNING), 422)["errors"][0]["field"] == "name"


@pytest.mark.usefixtures("clock")
def test_a_change_leaves_what_it_does_not_name(api: Api) -> None:
    made = make(api, labels={"a": "b"})
    address = f"/schedules/{made['id']}"

    changed = api.patch(address, {"name": "Evening"}).json()
    assert changed | {"updated_at": 0, "name": "Morning"} == made | {"updated_at": 0}
    hourly = api.patch(address, {"cron": "0 * * * *"}).json()
    assert hourly["next_at"] == "2030-01-01T13:00:00.000000Z"
    every = api.patch(address, {"cron": "", "every_s": 90}).json()
    assert (every["cron"], every["next_at"]) == (None, "2030-01-01T12:01:30.000000Z")
    problem_of(api.patch(address, {"every_s": 1}), 422)


def test_times_that_went_by_while_it_was_paused_are_not_made_up_for(api: Api, clock: Any) -> None:
    address = f"/schedules/{make(api, cron='0 * * * *')['id']}"
    paused = api.patch(address, {"is_paused": True}).json()
    assert (paused["is_paused"], paused["next_at"], paused["upcoming"]) == (True, None, [])

    clock.advance(5 * 3600 + 60)
    assert api.patch(address, {"is_paused": False}).json()["next_at"] == "2030-01-01T18:00:00.000000Z"


def test_a_task_is_started_on_demand(api: Api) -> None:
    made = make(api, is_paused=True)

    answer = api.post(f"/schedules/{made['id']}/run")

    assert answer.status_code == 202
    task = api.get(answer.headers["Location"]).json()
    assert (task["id"], task["schedule"]) == (answer.json()["task"], made["id"])
    assert api.get("/tasks").json()["results"] == [task]
    run = api.get(f"/schedules/{made['id']}/runs").json()["results"][0]
    assert (run["task"], run["is_manual"], run["outcome"], run["reason"]) == (task["id"], True, "started", None)
    drain()
    assert api.get(f"/tasks/{task['id']}").json()["state"] == "completed"


def test_a_task_on_demand_that_is_asked_for_twice_under_one_name_is_started_once(api: Api) -> None:
    address = f"/schedules/{make(api)['id']}/run"
    first = api.post(address, **{"Idempotency-Key": "once"})
    # As if it had died between the task and the record of it.
    ScheduleRun.objects.all().delete()
    again = api.post(address, **{"Idempotency-Key": "once"})
    other = api.post(address, **{"Idempotency-Key": "twice"})

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 202)
    assert first.json()["task"] == again.json()["task"] != other.json()["task"]
    assert Workflow.objects.count() == ScheduleRun.objects.count() == 2
    problem_of(api.post("/tasks", {"kind": "probe_fan", "input": {}}, **{"Idempotency-Key": "once"}), 422)


def test_a_key_that_may_not_submit_tasks_makes_no_schedule(
    tenant: Tenant, api: Api, make_key: Callable[..., tuple[ApiKey, str]]
) -> None:
    made = make(api)
    writer, reader = (Api(make_key(tenant, scope)[1]) for scope in (schedules.WRITE, schedules.READ))

    problem_of(writer.post("/schedules", MORNING | {"name": "b"}), 403)
    problem_of(writer.patch(f"/schedules/{made['id']}", {"name": "b"}), 403)
    problem_of(writer.get("/schedules"), 403)
    problem_of(reader.post(f"/schedules/{made['id']}/run"), 403)
    assert reader.get(f"/schedules/{made['id']}/runs").status_code == 200
    assert Schedule.objects.count() == 1 and not Workflow.objects.exists()


def test_a_schedule_acts_for_the_key_that_changed_it_last(
    tenant: Tenant, api: Api, make_key: Callable[..., tuple[ApiKey, str]]
) -> None:
    made = make(api)
    key, token = make_key(tenant)

    Api(token).patch(f"/schedules/{made['id']}", {"input": {"parts": [2]}})

    assert Schedule.objects.get().api_key == key


def test_other_tenants_see_and_change_nothing(api: Api, other_api: Api) -> None:
    made = make(api)
    address = f"/schedules/{made['id']}"

    for answer in (
        other_api.get(address), other_api.patch(address, {"is_paused": True}), other_api.delete(address),
        other_api.post(f"{address}/run"), other_api.get(f"{address}/runs"),
    ):  # fmt: skip
        problem_of(answer, 404)
    assert other_api.get("/schedules").json()["results"] == []
    assert api.get(address).json() == made and not ScheduleRun.objects.exists()


def test_a_tenant_has_so_many_and_no_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "MOST_SCHEDULES", 1)
    make(api)

    assert "Delete one" in problem_of(api.post("/schedules", MORNING | {"name": "b"}), 422)["detail"]
