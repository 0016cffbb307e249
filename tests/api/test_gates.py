"""/gates and /gate-changes: rules for the whole platform, changed by who runs it, each change on record. [E1]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.lifecycle import gates as moves
from agentapp.models import ApiKey, Gate, Limit, Tenant
from agentapp.policies.permissions import OPERATOR_SCOPES
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

RULE = {"scope": "model", "pattern": "gpt-5*", "concurrency": 8}
PLATFORM_ADDRESSES = [
    ("get", "/gates"), ("post", "/gates"), ("get", "/gates/1"), ("put", "/gates/1"), ("patch", "/gates/1"),
    ("delete", "/gates/1"),
    ("get", "/gate-changes"), ("get", "/limits"), ("post", "/limits/global/global/pause"),
    ("post", "/limits/global/global/drain"), ("post", "/limits/global/global/resume"), ("get", "/queues"),
]  # fmt: skip


def make(platform: Api, **values: Any) -> dict[str, Any]:
    response = platform.post("/gates", RULE | values)
    assert response.status_code == 201, response.content
    gate: dict[str, Any] = response.json()
    return gate


def test_a_gate_is_made_read_changed_and_taken_away(platform: Api) -> None:
    gate = make(platform, reserved=1, note="their limit")
    address = f"/gates/{gate['id']}"
    assert platform.get(address).json() == gate
    assert (gate["concurrency"], gate["reserved"], gate["requests_per_min"]) == (8, 1, None)

    changed = platform.patch(address, {"requests_per_min": 500, "reason": "a new contract"}).json()
    assert (changed["concurrency"], changed["requests_per_min"], changed["note"]) == (8, 500, "their limit")

    assert platform.delete(f"{address}?reason=not+needed").status_code == 204
    problem_of(platform.get(address), 404)
    assert platform.get("/gates").json() == {"results": [], "next": None}


def test_a_put_replaces_all_of_a_gate(platform: Api) -> None:
    gate = make(platform, reserved=1, requests_per_min=60, note="their limit")
    address = f"/gates/{gate['id']}"

    replaced = platform.put(address, RULE | {"concurrency": 3, "reason": "start again"}).json()

    bare = make(platform, pattern="other", concurrency=3)
    same = {name: value for name, value in bare.items() if name not in ("id", "pattern", "updated_at")}
    assert replaced == same | {"id": gate["id"], "pattern": "gpt-5*", "updated_at": replaced["updated_at"]}
    assert platform.get(address).json() == replaced
    assert [error["field"] for error in problem_of(platform.put(address, {}), 422)["errors"]] == ["scope"]
    assert "limits nothing" in problem_of(platform.put(address, {"scope": "model", "pattern": "x"}), 422)["detail"]


def test_each_change_leaves_who_when_what_and_why(platform: Api) -> None:
    gate = make(platform)
    platform.patch(f"/gates/{gate['id']}", {"concurrency": 2, "reason": "the provider is slow"})
    platform.delete(f"/gates/{gate['id']}")

    deleted, changed, created = platform.get("/gate-changes").json()["results"]
    assert [item["action"] for item in (created, changed, deleted)] == ["created", "changed", "deleted"]
    assert created["before"] is None and created["after"]["concurrency"] == 8
    assert (changed["before"]["concurrency"], changed["after"]["concurrency"]) == (8, 2)
    assert changed["reason"] == "the provider is slow" and changed["actor"].startswith("key:")
    assert deleted["after"] is None
    assert platform.get("/gate-changes", target="gate model gpt-5*").json()["results"][0] == deleted


def test_what_changes_nothing_is_no_change(platform: Api) -> None:
    gate = make(platform)

    assert platform.patch(f"/gates/{gate['id']}", {"concurrency": 8}).status_code == 200
    assert len(platform.get("/gate-changes").json()["results"]) == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scope": "colour"}, "scope"),
        ({"concurrency": None}, "concurrency"),
        ({"concurrency": -1}, "concurrency"),
        ({"reserved": 9}, "reserved"),
        ({"requests_per_min": 0}, "requests_per_min"),
        ({"requests_per_min": 1e300}, "requests_per_min"),
        ({"tokens_per_min": -5}, "tokens_per_min"),
        ({"tier": "free"}, "tier"),
        ({"max_waiting": 5}, "max_waiting"),
        ({"pattern": "x" * 101}, "pattern"),
        ({"speed": 3}, "speed"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused_with_its_field(
    platform: Api, values: dict[str, Any], field: str
) -> None:
    problem = problem_of(platform.post("/gates", RULE | values), 422)

    assert field in {error["field"] for error in problem["errors"]}
    assert not Gate.objects.exists()


def test_two_gates_of_one_rule_are_refused(platform: Api) -> None:
    make(platform)

    assert "already" in problem_of(platform.post("/gates", RULE), 422)["detail"]


def test_a_gate_holds_for_the_keys_that_fit_it_at_once(platform: Api, tenant: Tenant) -> None:
    moves.know(["model:gpt-5-mini", "model:other", f"tenant:{tenant.pk}"])
    make(platform)
    make(platform, scope="tenant", pattern=tenant.slug, concurrency=3)

    held = dict(Limit.objects.values_list("key", "concurrency"))
    assert held == {"model:gpt-5-mini": 8, "model:other": None, f"tenant:{tenant.pk}": 3}


@pytest.mark.parametrize(("method", "address"), PLATFORM_ADDRESSES)
def test_a_tenants_own_key_opens_nothing_of_the_platform(api: Api, method: str, address: str) -> None:
    """Whatever scopes a tenant may give to its keys."""
    send: Any = getattr(api, method)
    response = send(address, {"reason": "mine"}) if method in ("post", "put", "patch") else send(address)

    problem_of(response, 403)
    assert not Gate.objects.exists() and not Limit.objects.filter(mode="paused").exists()


def test_reading_needs_less_than_writing(tenant: Tenant, make_key: Any) -> None:
    _, token = make_key(tenant, OPERATOR_SCOPES[0])
    reader = Api(token)

    assert reader.get("/gates").status_code == 200
    problem_of(reader.post("/gates", RULE), 403)
    assert ApiKey.objects.filter(scopes=["gates:read"]).exists()
