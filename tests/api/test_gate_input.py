"""What /gates refuses, how its lists are read, and what an operator's key may do with half of its scopes. [E1] [A9]"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from agentapp.errors import NotFound
from agentapp.models import Gate, GateChange, Tenant
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.services import gates
from agentapp.services.principals import Principal
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

RULE = {"scope": "job_type", "pattern": "probe_*", "concurrency": 5}


def kept(platform: Api, **values: Any) -> dict[str, Any]:
    response = platform.post("/gates", RULE | values)
    assert response.status_code == 201, response.content
    return dict(response.json())


def test_null_takes_one_limit_out_of_a_gate_and_leaves_the_others(platform: Api) -> None:
    gate = kept(platform, requests_per_min=60)
    changed = platform.patch(f"/gates/{gate['id']}", {"concurrency": None}).json()
    assert (changed["concurrency"], changed["requests_per_min"]) == (None, 60)
    nothing = problem_of(platform.patch(f"/gates/{gate['id']}", {"requests_per_min": None}), 422)
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
    platform: Api, values: dict[str, Any], field: str
) -> None:
    problem = problem_of(platform.post("/gates", RULE | values), 422)

    assert [error["field"] for error in problem["errors"]] == [field]
    assert (Gate.objects.count(), GateChange.objects.count()) == (0, 0)


def test_all_wrong_values_are_named_at_once(platform: Api) -> None:
    problem = problem_of(platform.post("/gates", RULE | {"concurrency": -1, "token_burst": -1, "scope": "x"}), 422)
    assert {error["field"] for error in problem["errors"]} == {"concurrency", "token_burst", "scope"}
    assert problem_of(platform.post("/gates", {}), 422)["errors"][0]["field"] == "scope"


def test_a_wrong_change_leaves_the_gate_as_it_was(platform: Api) -> None:
    gate = kept(platform)
    problem_of(platform.patch(f"/gates/{gate['id']}", {"concurrency": 1, "reserved": 2}), 422)
    assert platform.get(f"/gates/{gate['id']}").json() == gate


def test_two_people_who_change_different_fields_do_not_undo_each_other(platform: Api, tenant: Tenant) -> None:
    gate = kept(platform)
    principal = Principal(frozenset(OPERATOR_SCOPES), None)
    one, other = Gate.objects.get(), Gate.objects.get()

    gates.save(principal, one, {"concurrency": 1})
    gates.save(principal, other, {"note": "checked"})

    kept_of_both = platform.get(f"/gates/{gate['id']}").json()
    assert (kept_of_both["concurrency"], kept_of_both["note"]) == (1, "checked")
    gates.delete(principal, one)
    with pytest.raises(NotFound):
        gates.save(principal, other, {"note": "still here?"})


def test_a_gate_of_the_platform_has_no_other_name(platform: Api) -> None:
    assert kept(platform, scope="global", pattern="whatever", max_waiting=1000)["pattern"] == "global"


def test_lists_come_in_pages_and_can_be_narrowed(platform: Api) -> None:
    made = [kept(platform, pattern=f"probe_{n}") for n in range(3)]
    kept(platform, scope="model", pattern="acme/large|2")
    first = platform.get("/gates", limit="2", scope="job_type").json()
    assert first["results"] == made[:2]
    assert platform.get(first["next"]).json() == {"results": made[2:], "next": None}
    assert [row["scope"] for row in platform.get("/gates").json()["results"]] == ["job_type"] * 3 + ["model"]

    page = platform.get("/gate-changes", limit="3").json()
    assert len(page["results"]) == 3
    assert [row["after"]["pattern"] for row in platform.get(page["next"]).json()["results"]] == ["probe_0"]
    assert len(platform.get("/gate-changes", target="gate job_type probe_1").json()["results"]) == 1


@pytest.mark.parametrize(
    "path", ["/gates?scope=planet", "/gates?cursor=AAAA", "/gate-changes?cursor=bm8", "/gates?x=1"]
)
def test_a_query_that_cannot_be_understood_is_a_400(platform: Api, path: str) -> None:
    problem_of(platform.get(path), 400)


def test_a_cursor_beyond_every_number_leads_to_an_end(platform: Api) -> None:
    kept(platform)
    kept(platform, pattern="probe_x")
    given = platform.get("/gates", limit="1").json()["next"].rpartition("=")[2]
    mark = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).partition(b"|")[0]
    cursor = base64.urlsafe_b64encode(mark + b"|job_type|" + b"9" * 40).decode().rstrip("=")
    assert platform.get("/gates", cursor=cursor).json() == {"results": [], "next": None}


@pytest.mark.parametrize("gate_id", ["0", "99", "x", "-1", "9" * 40, "1.5"])
def test_a_gate_that_there_is_not_is_a_404(platform: Api, gate_id: str) -> None:
    address = f"/gates/{gate_id}"
    for response in (platform.get(address), platform.patch(address, {}), platform.delete(address)):
        problem_of(response, 404)


def test_what_an_address_does_not_do_is_said_in_allow(platform: Api) -> None:
    assert set(platform.delete("/gates").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert set(platform.post("/gates/1", {}).headers["Allow"].split(", ")) == {
        "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT",
    }  # fmt: skip
    assert problem_of(platform.put("/tasks", {}), 405)["detail"].endswith("GET, HEAD, OPTIONS, POST.")


def test_who_may_read_changes_nothing_and_who_may_change_need_not_list(make_key: Any, tenant: Tenant) -> None:
    reader, writer = (Api(make_key(tenant, scope)[1]) for scope in ("gates:read", "gates:write"))
    gate = kept(writer)
    address = f"/gates/{gate['id']}"
    assert reader.get(address).json() == gate
    for response in (reader.post("/gates", RULE), reader.patch(address, {"concurrency": 1}), reader.delete(address)):
        assert "gates:write" in problem_of(response, 403)["detail"]
    problem_of(writer.get("/gates"), 403)
    assert writer.patch(address, {"concurrency": 1}).json()["concurrency"] == 1
    assert writer.delete(address).status_code == 204
