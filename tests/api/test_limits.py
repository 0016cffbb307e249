"""/limits and /queues: what keys are held to; pausing, draining, resuming; why a task waits. [E1] [E6] [A2] [A8]"""

from __future__ import annotations

import re
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.lifecycle import gates as moves
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Gate, Job, Limit, Tenant
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from tests.api.conftest import Api, problem_of
from tests.deploy.processes import documents

pytestmark = pytest.mark.django_db


def submit(api: Api, **fields: Any) -> dict[str, Any]:
    response = api.post("/tasks", {"kind": "probe_fan", "input": {}} | fields)
    assert response.status_code == 202, response.content
    task: dict[str, Any] = response.json()
    return task


def take(task: dict[str, Any]) -> Claimed | Refused:
    job = Job.objects.get(workflow=task["id"], type="probe_first")
    return claim(str(job.pk), worker="w", queues=tuple(WORKER_CLASS_SCOPES), lease_s=15)


def test_a_paused_key_stops_the_next_claim_and_a_resumed_one_lets_it_pass(platform: Api, api: Api) -> None:
    task, other = submit(api), submit(api)
    paused = platform.post("/limits/job_type/probe_first/pause", {"reason": "its prompt is wrong"}).json()
    assert (paused["mode"]["mode"], paused["mode"]["reason"]) == ("paused", "its prompt is wrong")

    assert take(task) == Refused("parked")
    (why,) = api.get(f"/tasks/{task['id']}").json()["blocked_by"]
    assert (why["type"], why["scope"], why["name"], why["why"]) == ("gate", "job_type", "probe_first", "paused")
    assert why["reason"] == "its prompt is wrong"

    platform.post("/limits/job_type/probe_first/resume")
    assert isinstance(take(other), Claimed)


def test_a_key_is_paused_once_and_for_a_reason(platform: Api) -> None:
    problem_of(platform.post("/limits/model/gpt-5/pause"), 422)
    assert platform.post("/limits/model/org/gpt:5/pause", {"reason": "bills"}).json()["name"] == "org/gpt:5"
    problem_of(platform.post("/limits/model/org/gpt:5/pause", {"reason": "again"}), 409)
    problem_of(platform.post("/limits/tenant/nobody/pause", {"reason": "who?"}), 404)
    problem_of(platform.post("/limits/colour/red/pause", {"reason": "why?"}), 422)


def test_a_tenant_is_named_by_its_slug(platform: Api, tenant: Tenant) -> None:
    drained = platform.post(f"/limits/tenant/{tenant.slug}/drain", {"reason": "it moves away"}).json()

    assert drained["key"] == f"tenant:{tenant.pk}"
    assert [item["action"] for item in platform.get("/gate-changes", target=drained["key"]).json()["results"]] == [
        "draining"
    ]


def test_a_limit_shows_what_it_holds_and_what_runs(platform: Api, api: Api) -> None:
    moves.keep(Gate(scope="job_type", pattern="probe_*", concurrency=2, requests_per_min=90), actor="test")
    take(submit(api))

    (limit,) = platform.get("/limits", scope="job_type", name="probe_first").json()["results"]

    assert (limit["concurrency"], limit["requests_per_min"], limit["running"]) == (2, 90, 1)
    assert limit["mode"]["mode"] == "open" and limit["breaker"] == "closed"


def test_who_waits_is_told_who_holds_the_slots_of_its_own_tenant_and_how_many_others_do(
    api: Api, other_api: Api
) -> None:
    moves.keep(Gate(scope="job_type", pattern="probe_first", concurrency=2), actor="test")
    mine, theirs, late = submit(api), submit(other_api), submit(api)
    assert isinstance(take(mine), Claimed) and isinstance(take(theirs), Claimed)
    assert take(late) == Refused("parked")

    (why,) = api.get(f"/tasks/{late['id']}").json()["blocked_by"]

    assert (why["why"], why["limit"], why["running"], why["held_by_others"]) == ("concurrency", 2, 2, 1)
    assert [holder["task"] for holder in why["holders"]] == [mine["id"]]
    assert theirs["id"] not in str(why)
    # Nobody has measured yet how long such a job runs, so nobody can tell.
    assert "until" not in why
    Limit.objects.filter(key="job_type:probe_first").update(run_s=60)
    (why,) = api.get(f"/tasks/{late['id']}").json()["blocked_by"]
    assert why["until"] > why["holders"][0]["since"]


def test_queues_tell_an_autoscaler_how_far_their_workers_are_behind(platform: Api, api: Api) -> None:
    submit(api)

    queues = {item["queue"]: item for item in platform.get("/queues").json()["results"]}

    assert set(queues) == set(WORKER_CLASS_SCOPES)
    assert (queues["model"]["published"], queues["model"]["running"]) == (1, 0)


def test_keda_finds_the_backlog_of_each_queue_in_the_answer(tenant: Tenant, make_key: Any) -> None:
    """With the key and the locations of deploy/kubernetes/scaling, which are written in the language of GJSON."""
    for number, name in enumerate(WORKER_CLASS_SCOPES, start=1):
        Limit.objects.update_or_create(
            key=f"queue:{name}", defaults={"scope": "queue", "name": name, "waiting": number}
        )
    answer = Api(make_key(tenant, "gates:read")[1]).get("/queues").json()

    objects = [each for each in documents("kubernetes/scaling/keda.yaml") if each["kind"] == "ScaledObject"]
    places = [trigger["metadata"]["valueLocation"] for each in objects for trigger in each["spec"]["triggers"]]
    assert sorted(found_by_gjson(answer, place) for place in places) == list(range(1, len(WORKER_CLASS_SCOPES) + 1))


def found_by_gjson(answer: Any, place: str) -> Any:
    """What is found at `list.#(field=="value").other`: the other field of the first element that fits."""
    match = re.fullmatch(r'(\w+)\.#\((\w+)=="(\w+)"\)\.(\w+)', place)
    assert match, place
    name, field, value, other = match.groups()
    return next(each[other] for each in answer[name] if each[field] == value)


def test_every_accepted_task_says_how_many_more_are(api: Api) -> None:
    response = api.post("/tasks", {"kind": "probe_fan", "input": {}})

    assert response.headers["RateLimit-Policy"] == '"waiting-tasks";q=50000'
    assert response.headers["RateLimit"] == '"waiting-tasks";r=50000'


def test_a_full_quota_is_a_429_that_says_when_to_come_again_and_stops_nobody_else(
    api: Api, other_api: Api, tenant: Tenant
) -> None:
    moves.keep(Gate(scope="tenant", pattern=tenant.slug, max_waiting=2), actor="test")
    moves.know([f"tenant:{tenant.pk}"])
    Limit.objects.filter(key=f"tenant:{tenant.pk}").update(per_s=0.5)
    for _ in range(2):
        submit(api)

    response = api.post("/tasks", {"kind": "probe_fan", "input": {}})

    problem = problem_of(response, 429)
    assert response.headers["Retry-After"] == "2"
    assert response.headers["RateLimit"] == '"waiting-tasks";r=0;t=2'
    assert "2 tasks of this tenant wait" in problem["detail"]
    submit(other_api)


def test_past_the_hard_mark_nobody_is_accepted(api: Api, other_api: Api, settings: Settings) -> None:
    moves.know(["global"])
    Limit.objects.filter(key="global").update(waiting=100, per_s=10)
    settings.AGENTAPP_HARD_MARK_TASKS = 100

    assert api.post("/tasks", {"kind": "probe_fan", "input": {}}).status_code == 429
    assert other_api.post("/tasks", {"kind": "probe_fan", "input": {}}).status_code == 429


def test_past_the_soft_mark_a_task_is_accepted_and_says_when_it_should_begin(api: Api, settings: Settings) -> None:
    moves.know(["global"])
    Limit.objects.filter(key="global").update(waiting=20, per_s=2)
    settings.AGENTAPP_SOFT_MARK_TASKS = 10

    task = submit(api)

    assert task["estimated_start_at"] > task["created_at"]
