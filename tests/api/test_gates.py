"""/gates and /gate-changes: rules are made, changed and taken away, and every change stays on record. [E1] [E6]"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from agentapp.lifecycle import gates as moves
from agentapp.models import Gate, GateChange, Limit, Tenant
from agentapp.policies.permissions import API_SCOPES, HOUSE_SCOPES
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

RULE = {"scope": "job_type", "pattern": "probe_*", "concurrency": 5}


def kept(house: Api, **values: Any) -> dict[str, Any]:
    response = house.post("/gates", RULE | values)
    assert response.status_code == 201, response.content
    return dict(response.json())


def last_change() -> GateChange:
    return GateChange.objects.latest("id")


def test_a_gate_is_made_read_changed_and_taken_away(house: Api) -> None:
    made = house.post("/gates", RULE | {"note": "the probes are slow", "reason": "asked for by Kim"})
    gate = made.json()
    address = f"/gates/{gate['id']}"
    assert made.headers["Location"] == address
    assert house.get(address).json() == gate
    assert house.get("/gates").json() == {"results": [gate], "next": None}
    assert {name: gate[name] for name in RULE} == RULE

    changed = house.put(address, {"concurrency": 2, "reserved": 1}).json()
    assert (changed["concurrency"], changed["reserved"], changed["note"]) == (2, 1, "the probes are slow")

    gone = house.delete(f"{address}?reason=not+needed")
    assert (gone.status_code, gone.content) == (204, b"")
    problem_of(house.get(address), 404)
    assert not Gate.objects.exists()


def test_a_gate_holds_for_the_keys_that_fit_as_soon_as_it_is_stored(house: Api) -> None:
    moves.know(["job_type:probe_first", "job_type:other"])
    gate = kept(house, requests_per_min=30)

    limit = Limit.objects.get(key="job_type:probe_first")
    assert (limit.gate_id, limit.concurrency, limit.request_s) == (gate["id"], 5, 2.0)
    assert Limit.objects.get(key="job_type:other").concurrency is None
    house.delete(f"/gates/{gate['id']}")
    limit.refresh_from_db()
    assert (limit.gate_id, limit.concurrency, limit.request_s) == (None, None, None)


def test_every_change_leaves_who_it_was_what_was_before_and_what_after(house: Api) -> None:
    gate = kept(house, reason="first")
    created = last_change()
    assert (created.action, created.before, created.reason) == ("created", None, "first")
    assert created.target == "gate job_type probe_*" and created.after is not None
    assert created.actor.startswith("key:") and created.after["concurrency"] == 5

    house.put(f"/gates/{gate['id']}", {"concurrency": 3, "reason": "the provider asked"})
    changed = last_change()
    assert changed.before is not None and changed.after is not None
    assert (changed.action, changed.before["concurrency"], changed.after["concurrency"]) == ("changed", 5, 3)
    assert changed.before | {"concurrency": 3} == changed.after

    house.delete(f"/gates/{gate['id']}?reason=over")
    deleted = last_change()
    assert (deleted.action, deleted.before, deleted.after) == ("deleted", changed.after, None)

    listed = house.get("/gate-changes").json()["results"]
    assert [(row["action"], row["reason"]) for row in listed] == [
        ("deleted", "over"), ("changed", "the provider asked"), ("created", "first"),
    ]  # fmt: skip
    assert listed[1]["before"] == changed.before and listed[1]["after"] == changed.after


def test_a_change_that_changes_nothing_is_none(house: Api) -> None:
    gate = kept(house)
    assert house.put(f"/gates/{gate['id']}", {"concurrency": 5}).json() == gate
    assert house.put(f"/gates/{gate['id']}", {}).json() == gate
    assert GateChange.objects.count() == 1


def test_null_takes_one_limit_out_of_a_gate_and_leaves_the_others(house: Api) -> None:
    gate = kept(house, requests_per_min=60)
    changed = house.put(f"/gates/{gate['id']}", {"concurrency": None}).json()
    assert (changed["concurrency"], changed["requests_per_min"]) == (None, 60)
    nothing = problem_of(house.put(f"/gates/{gate['id']}", {"requests_per_min": None}), 422)
    assert "limits nothing" in nothing["detail"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scope": "planet"}, "scope"),
        ({"scope": "queue"}, "scope"),
        ({"pattern": ""}, "pattern"),
        ({"pattern": "x" * 101}, "pattern"),
        ({"concurrency": -1}, "concurrency"),
        ({"concurrency": 2.5}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"concurrency": 10**12}, "concurrency"),
        ({"concurrency": None}, "concurrency"),
        ({"reserved": 6}, "reserved"),
        ({"reserved": None}, "reserved"),
        ({"requests_per_min": 0}, "requests_per_min"),
        ({"requests_per_min": 1e-300}, "requests_per_min"),
        ({"requests_per_min": 1e12}, "requests_per_min"),
        ({"request_burst": -1}, "request_burst"),
        ({"tokens_per_min": "many"}, "tokens_per_min"),
        ({"token_burst": 2**31 - 1}, "token_burst"),
        ({"max_waiting": 5}, "max_waiting"),
        ({"tier": "gold"}, "tier"),
        ({"note": "x" * 301}, "note"),
        ({"reason": "x" * 301}, "reason"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_and_nothing_is_stored(
    house: Api, values: dict[str, Any], field: str
) -> None:
    problem = problem_of(house.post("/gates", RULE | values), 422)

    assert [error["field"] for error in problem["errors"]] == [field]
    assert (Gate.objects.count(), GateChange.objects.count()) == (0, 0)


def test_all_wrong_values_are_named_at_once(house: Api) -> None:
    problem = problem_of(house.post("/gates", RULE | {"concurrency": -1, "token_burst": -1, "scope": "x"}), 422)
    assert {error["field"] for error in problem["errors"]} == {"concurrency", "token_burst", "scope"}
    assert problem_of(house.post("/gates", {}), 422)["errors"][0]["field"] == "scope"


def test_a_wrong_change_leaves_the_gate_as_it_was(house: Api) -> None:
    gate = kept(house)
    problem_of(house.put(f"/gates/{gate['id']}", {"concurrency": 1, "reserved": 2}), 422)
    assert house.get(f"/gates/{gate['id']}").json() == gate


def test_one_key_has_one_gate_of_a_pattern_and_tier(house: Api) -> None:
    kept(house)
    assert "already" in problem_of(house.post("/gates", RULE), 422)["detail"]
    tiers = [kept(house, scope="tenant", pattern="*", tier=tier)["tier"] for tier in ("", "gold")]
    assert tiers == ["", "gold"]
    assert Gate.objects.count() == 3


def test_a_gate_of_the_house_has_no_other_name(house: Api) -> None:
    assert kept(house, scope="global", pattern="whatever", max_waiting=1000)["pattern"] == "global"


def test_lists_come_in_pages_and_can_be_narrowed(house: Api) -> None:
    made = [kept(house, pattern=f"probe_{n}") for n in range(3)]
    kept(house, scope="model", pattern="acme/large|2")
    first = house.get("/gates", limit="2", scope="job_type").json()
    assert first["results"] == made[:2]
    assert house.get(first["next"]).json() == {"results": made[2:], "next": None}
    assert [row["scope"] for row in house.get("/gates").json()["results"]] == ["job_type"] * 3 + ["model"]

    page = house.get("/gate-changes", limit="3").json()
    assert len(page["results"]) == 3
    assert [row["after"]["pattern"] for row in house.get(page["next"]).json()["results"]] == ["probe_0"]
    assert len(house.get("/gate-changes", target="gate job_type probe_1").json()["results"]) == 1


@pytest.mark.parametrize(
    "path", ["/gates?scope=planet", "/gates?cursor=AAAA", "/gate-changes?cursor=bm8", "/gates?x=1"]
)
def test_a_query_that_cannot_be_understood_is_a_400(house: Api, path: str) -> None:
    problem_of(house.get(path), 400)


def test_a_cursor_beyond_every_number_leads_to_an_end(house: Api) -> None:
    kept(house)
    cursor = base64.urlsafe_b64encode(b"job_type|" + b"9" * 40).decode().rstrip("=")
    assert house.get("/gates", cursor=cursor).json() == {"results": [], "next": None}


@pytest.mark.parametrize("gate_id", ["0", "99", "x", "-1", "9" * 40, "1.5"])
def test_a_gate_that_there_is_not_is_a_404(house: Api, gate_id: str) -> None:
    for response in (
        house.get(f"/gates/{gate_id}"), house.put(f"/gates/{gate_id}", {}), house.delete(f"/gates/{gate_id}"),
    ):  # fmt: skip
        problem_of(response, 404)


def test_what_an_address_does_not_do_is_said_in_allow(house: Api) -> None:
    assert set(house.delete("/gates").headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert set(house.post("/gates/1", {}).headers["Allow"].split(", ")) == {"DELETE", "GET", "HEAD", "PUT"}
    assert problem_of(house.put("/tasks", {}), 405)["detail"].endswith("GET, HEAD, POST.")


def test_who_may_read_changes_nothing_and_who_may_change_need_not_list(make_key: Any, tenant: Tenant) -> None:
    reader, writer = (Api(make_key(tenant, scope)[1]) for scope in HOUSE_SCOPES)
    gate = kept(writer)
    address = f"/gates/{gate['id']}"
    assert reader.get(address).json() == gate
    for response in (reader.post("/gates", RULE), reader.put(address, {"concurrency": 1}), reader.delete(address)):
        assert "gates:write" in problem_of(response, 403)["detail"]
    problem_of(writer.get("/gates"), 403)
    assert writer.put(address, {"concurrency": 1}).json()["concurrency"] == 1
    assert writer.delete(address).status_code == 204


def test_a_tenants_key_sees_and_changes_nothing_of_it(api: Api, house: Api) -> None:
    gate = kept(house)
    assert not set(HOUSE_SCOPES) & set(API_SCOPES)
    before = list(Gate.objects.values())
    for path in ("/gates", f"/gates/{gate['id']}", "/gates/4711", "/gate-changes"):
        text = problem_of(api.get(path), 403)
        assert "probe_" not in str(text)
    for response in (
        api.post("/gates", RULE), api.put(f"/gates/{gate['id']}", {"concurrency": 99}),
        api.delete(f"/gates/{gate['id']}"), api.put("/gates/4711", {}),
    ):  # fmt: skip
        problem_of(response, 403)
    assert list(Gate.objects.values()) == before
    assert GateChange.objects.count() == 1
