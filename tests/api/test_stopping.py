"""Stopping keys and letting them go on: what may be named, what each move leaves behind, and what queues tell. [E6]"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from agentapp import clock as clock_module
from agentapp.lifecycle import admit
from agentapp.lifecycle import gates as moves
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Gate, GateChange, Job, Limit, Tenant
from agentapp.policies.permissions import OPERATOR_SCOPES, WORKER_CLASS_SCOPES
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

MODEL = "acme/large:2025-01"
STOP = {"reason": "the provider is down"}


def take(job: Job) -> Claimed | Refused:
    return claim(str(job.pk), worker="worker", queues=tuple(WORKER_CLASS_SCOPES), lease_s=15)


def submitted(api: Api, count: int) -> list[Job]:
    for _ in range(count):
        assert api.post("/tasks", {"kind": "probe_fan", "input": {}}).status_code == 202
    return list(Job.objects.filter(type="probe_first").order_by("id"))


def one(platform: Api, scope: str, name: str) -> dict[str, Any]:
    (found,) = platform.get("/limits", scope=scope, name=name).json()["results"]
    return dict(found)


def test_a_key_says_what_it_is_held_to_and_what_runs(platform: Api, api: Api, tenant: Tenant) -> None:
    rule = moves.keep(
        Gate(scope="job_type", pattern="probe_*", concurrency=5, reserved=1, requests_per_min=90, token_burst=4),
        actor="test",
    )
    for job in submitted(api, 3)[:2]:
        assert isinstance(take(job), Claimed)

    limit = one(platform, "job_type", "probe_first")
    assert (limit["key"], limit["gate"], limit["running"]) == ("job_type:probe_first", rule.pk, 2)
    assert (limit["concurrency"], limit["reserved"], limit["requests_per_min"]) == (5, 1, 90)
    assert (limit["request_burst"], limit["tokens_per_min"], limit["token_burst"]) == (3, None, None)
    assert (limit["breaker"], limit["slowdown"], limit["closed_until"], limit["holds"]) == ("closed", 1, None, False)
    assert limit["mode"] == {"mode": "open", "by": None, "reason": None, "since": None}
    assert one(platform, "tenant", tenant.slug)["running"] == 2
    assert one(platform, "global", "global")["running"] == 2
    assert one(platform, "queue", "model")["running"] == 2


def test_limits_come_in_pages_and_can_be_narrowed(platform: Api) -> None:
    moves.know([f"model:m|{n}" for n in range(3)] + ["tool:mail"])
    first = platform.get("/limits", limit="2", scope="model").json()
    assert [row["name"] for row in first["results"]] == ["m|0", "m|1"]
    assert [row["name"] for row in platform.get(first["next"]).json()["results"]] == ["m|2"]
    assert platform.get("/limits", scope="tool").json()["results"][0]["key"] == "tool:mail"
    assert platform.get("/limits", scope="tool", name="fax").json()["results"] == []


@pytest.mark.parametrize("query", ["scope=planet", "name=%00", "cursor=AAAA", "cursor=bW9kZWwA", "colour=red"])
def test_a_query_that_cannot_be_understood_is_a_400(platform: Api, query: str) -> None:
    problem_of(platform.get(f"/limits?{query}"), 400)
    problem_of(platform.get(f"/queues?{query}"), 400)


def test_a_key_that_is_drained_lets_only_tasks_go_on_that_have_begun(platform: Api, api: Api) -> None:
    begun, fresh = submitted(api, 2)
    harness.drain(begun.workflow)
    platform.post("/limits/global/global/drain", {"reason": "a new release"})

    assert take(fresh) == Refused("parked")
    assert one(platform, "global", "global")["mode"]["mode"] == "draining"


@pytest.mark.parametrize("address", [MODEL, quote(MODEL, safe="")])
def test_a_name_may_hold_slashes_and_colons(platform: Api, address: str) -> None:
    paused = platform.post(f"/limits/model/{address}/pause/", STOP).json()

    assert (paused["key"], paused["name"]) == (f"model:{MODEL}", MODEL)
    assert one(platform, "model", MODEL)["mode"]["mode"] == "paused"
    assert platform.post(f"/limits/model/{address}/resume").json()["mode"]["mode"] == "open"


def test_every_move_leaves_a_change_with_what_was_before_and_after(platform: Api) -> None:
    for move in ("pause", "drain", "resume"):
        assert platform.post("/limits/tool/mail/" + move, {"reason": f"to {move}"}).status_code == 200

    changes = list(reversed(platform.get("/gate-changes", target="tool:mail").json()["results"]))
    assert [(row["action"], row["reason"]) for row in changes] == [
        ("paused", "to pause"), ("draining", "to drain"), ("resumed", "to resume"),
    ]  # fmt: skip
    assert [(row["before"]["mode"], row["after"]["mode"]) for row in changes] == [
        ("open", "paused"), ("paused", "draining"), ("draining", "open"),
    ]  # fmt: skip
    assert all(row["actor"].startswith("key:") and row["at"] for row in changes)


def test_what_is_so_already_is_a_409(platform: Api) -> None:
    assert "open already" in problem_of(platform.post("/limits/tool/mail/resume"), 409)["detail"]
    platform.post("/limits/tool/mail/pause", STOP)
    assert "paused already" in problem_of(platform.post("/limits/tool/mail/pause", STOP), 409)["detail"]
    assert GateChange.objects.count() == 1


def test_a_resume_closes_a_breaker_and_forgets_what_a_provider_asked_for(platform: Api) -> None:
    moves.know(["model:m"])
    until = clock_module.now() + timedelta(minutes=5)
    Limit.objects.filter(key="model:m").update(breaker="open", closed_until=until, slowdown=2.5)
    assert one(platform, "model", "m")["breaker"] == "open"

    resumed = platform.post("/limits/model/m/resume").json()

    assert (resumed["breaker"], resumed["closed_until"], resumed["slowdown"]) == ("closed", None, 1)


@pytest.mark.parametrize("move", ["pause", "drain"])
@pytest.mark.parametrize("body", [{}, {"reason": "  "}, {"reason": "x" * 301}, {"reason": 5}])
def test_who_stops_a_key_must_say_why(platform: Api, move: str, body: dict[str, Any]) -> None:
    problem = problem_of(platform.post(f"/limits/queue/model/{move}", body), 422)
    assert [error["field"] for error in problem["errors"]] == ["reason"]
    assert not Limit.objects.exclude(mode="open").exists()


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("planet/earth", 422), ("tenant/nobody", 404), ("queue/nothing", 404), ("global/everything", 404),
        ("model/" + "x" * 101, 404), ("model/a%00b", 404),
    ],
)  # fmt: skip
def test_what_there_cannot_be_is_not_paused(platform: Api, address: str, status: int) -> None:
    problem_of(platform.post(f"/limits/{address}/pause", STOP), status)
    assert not Limit.objects.exclude(mode="open").exists()


def test_queues_say_how_far_their_workers_are_behind(platform: Api, api: Api, clock: clock_module.Clock) -> None:
    jobs = submitted(api, 3)
    queue = jobs[0].queue
    take(jobs[0])
    Job.objects.filter(pk=jobs[1].pk).update(published_at=None)
    moves.know([f"queue:{queue}"])
    admit.measure(per_s={f"queue:{queue}": 2.0}, run_s={}, slots={queue: 4})
    clock.advance(90)
    platform.post(f"/limits/queue/{queue}/drain", STOP)

    found = {row["queue"]: row for row in platform.get("/queues").json()["results"]}

    assert set(found) == set(WORKER_CLASS_SCOPES)
    lag = found[queue]
    assert (lag["waiting"], lag["running"], lag["published"]) == (2, 1, 1)
    assert (lag["per_s"], lag["slots"], lag["oldest_age_s"], lag["mode"]["mode"]) == (2.0, 4, 90, "draining")
    idle = found["send"]
    assert (idle["waiting"], idle["oldest_at"], idle["oldest_age_s"], idle["mode"]["mode"]) == (0, None, 0, "open")


def test_who_may_only_write_is_answered_all_the_same(make_key: Any, tenant: Tenant) -> None:
    writer = Api(make_key(tenant, OPERATOR_SCOPES[1])[1])
    assert writer.post("/limits/tool/mail/pause", STOP).json()["mode"]["mode"] == "paused"
    problem_of(writer.get("/limits"), 403)
