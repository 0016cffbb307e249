"""Bad input gets a problem document that says what to do, and nothing is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock
from agentapp.models import ApiKey, History, Job, Tenant, Workflow
from agentapp.services import api_keys
from tests.api.conftest import QUESTION, Api, problem_of

pytestmark = pytest.mark.django_db

# Fixed, because it is part of the names of tests, which are the same in all workers of `pytest -n`.
UNKNOWN = "0190f5fe-7c00-7a00-8000-000000000000"


@pytest.fixture(autouse=True)
def nothing_is_stored(db: None) -> Iterator[None]:
    yield
    assert (Workflow.objects.count(), Job.objects.count(), History.objects.count()) == (0, 0, 0)


def test_an_unknown_kind_is_refused_with_those_that_there_are(api: Api) -> None:
    problem = problem_of(api.submit(kind="support_replay"), 422)
    assert "support_replay" in problem["detail"]
    assert "support_reply" in problem["detail"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"input": {key: QUESTION[key] for key in ("subject", "body")}}, "input.customer_email"),
        ({"input": QUESTION | {"colour": "red"}}, "input.colour"),
        ({"input": QUESTION | {"body": 7}}, "input.body"),
        ({"input": QUESTION | {"customer_email": "nobody"}}, "input.customer_email"),
        ({"input": QUESTION | {"customer_email": "a@b.test, c@d.test"}}, "input.customer_email"),
        ({"input": QUESTION | {"customer_email": "Name <a@b.test>"}}, "input.customer_email"),
        ({"input": QUESTION | {"customer_email": '"a\x0bb"@b.test'}}, "input.customer_email"),
        ({"input": QUESTION | {"customer_email": "a@b.test\u2028c"}}, "input.customer_email"),
        ({"input": QUESTION | {"subject": "Invoice\x85Bcc: thief@sample.test"}}, "input.subject"),
        ({"input": QUESTION | {"subject": "Invoice\u2029x"}}, "input.subject"),
        ({"input": QUESTION | {"subject": "Invoice\x1cx"}}, "input.subject"),
        ({"input": QUESTION | {"body": "a\x00b"}}, "input.body"),
        ({"input": QUESTION | {"body": "half a pair: \ud83d"}}, "input.body"),
        ({"input": "text"}, "input"),
        ({"input": [QUESTION]}, "input"),
        ({"input": None}, "input"),
        ({"kind": 5}, "kind"),
        ({"kind": ""}, "kind"),
        ({"priority": "soon"}, "priority"),
        ({"priority": 1}, "priority"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": {"team": 5}}, "labels.team"),
        ({"labels": {"a b": "c"}}, "labels.a b"),
        ({"colour": "red"}, "colour"),
        ({"run_at": "2030-01-01T00:00:00Z"}, "run_at"),
        ({"callback_url": "https://user@example.org"}, "callback_url"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": "soon"}, "deadline_s"),
        ({"deadline_s": 1e9}, "deadline_s"),
    ],
)
def test_a_wrong_field_is_named(api: Api, fields: dict[str, Any], path: str) -> None:
    problem = problem_of(api.submit(**fields), 422)
    assert path in [error["field"] for error in problem["errors"]]
    assert path in problem["detail"]


def test_missing_fields_are_all_named_at_once(api: Api) -> None:
    problem = problem_of(api.post("/tasks", {}), 422)
    assert {error["field"] for error in problem["errors"]} == {"kind", "input"}
    assert problem_of(api.post("/tasks"), 422)["errors"] == problem["errors"]


@pytest.mark.parametrize(
    "body",
    [
        '{"kind": "support_reply", ',
        "kind=support_reply",
        b'{"kind": "\xff"}',
        "[" * 100_000,
        '{"input": NaN}',
        '{"kind": "probe_fan", "kind": "support_reply"}',
        '{"kind": "support_reply", "input": {"body": "a", "subject": "b", "body": "c"}}',
        "{" + ",".join(f'"{number}": 0' for number in (*range(50_000), 49_999)) + "}",
        '{"input": 1e999}',
        '{"input": ' + "9" * 5_000 + "}",
    ],
)
def test_broken_json_is_a_400_that_says_where(api: Api, body: str | bytes) -> None:
    problem = problem_of(api.post("/tasks", body), 400)
    assert problem["type"] == "/problems/malformed-json"
    # Words for programmers of Python.
    assert "sys." not in problem["detail"]


@pytest.mark.parametrize("levels", [60, 500, 900])
def test_json_that_is_nested_too_deeply_is_refused(api: Api, levels: int) -> None:
    nested = '{"kind": "probe_fan", "input": {"text": ' + "[" * levels + "]" * levels + "}}"
    assert "nested" in problem_of(api.post("/tasks", nested), 422)["detail"]


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "7"])
def test_json_that_is_no_object_is_refused(api: Api, body: str) -> None:
    assert "object" in problem_of(api.post("/tasks", body), 422)["detail"]


def test_a_body_of_two_megabytes_is_refused(api: Api) -> None:
    big = json.dumps({"kind": "support_reply", "input": QUESTION | {"body": "x" * 2_000_000}})
    assert problem_of(api.post("/tasks", big), 413)["type"] == "/problems/body-too-large"


def test_an_input_that_is_too_large_for_its_field_is_refused(api: Api) -> None:
    problem_of(api.submit(input=QUESTION | {"body": "x" * 500_000}), 422)


def test_more_parameters_than_are_read_is_a_400(api: Api) -> None:
    assert problem_of(api.get("/tasks?" + "state=running&" * 2_000), 400)["type"] == "/problems/bad-query"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_another_content_type_is_a_415(api: Api, content_type: str) -> None:
    problem = problem_of(api.post("/tasks", "kind=support_reply", content_type=content_type), 415)
    assert "application/json" in problem["detail"]


def test_a_client_that_wants_no_json_gets_a_406(api: Api) -> None:
    api.headers["Accept"] = "application/xml"
    problem_of(api.get("/tasks"), 406)


def test_another_method_is_a_405_that_names_the_right_ones(api: Api) -> None:
    response = api.client.delete("/tasks", headers=api.headers)
    assert "GET" in problem_of(response, 405)["detail"]
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    "path", ["/tasks/{}", "/tasks/{}/jobs", "/jobs/{}", "/approvals/{}", "/dead-letter-replays/{}"]
)
@pytest.mark.parametrize("unknown", [UNKNOWN, "42", "%00", "not-an-id"])
def test_an_unknown_id_is_a_404(api: Api, path: str, unknown: str) -> None:
    assert "This tenant has no" in problem_of(api.get(path.format(unknown)), 404)["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/tasks/{}/cancel",
        "/tasks/{}/fork",
        "/dead-letters/{}/replay",
        "/dead-letters/{}/resolve",
        "/dead-letters/{}/cancel",
        "/dead-letter-replays/{}/abort",
        "/approvals/{}/decision",
    ],
)
def test_a_move_of_an_unknown_id_is_a_404(api: Api, path: str) -> None:
    bodies = {
        "decision": {"decision": "approve", "content_sha256": "0" * 64},
        "replay": {},
        "fork": {"from_stage": "classify_ticket"},
        "resolve": {"output": {}, "reason": "a mistake"},
    }
    body = bodies.get(path.rpartition("/")[2], {"reason": "a mistake"})
    problem_of(api.post(path.format(UNKNOWN), body), 404)


@pytest.mark.parametrize("path", ["/tasks/a/b/c", "/documents/5", "/jobs/"])
def test_an_unknown_address_is_a_404(api: Api, path: str) -> None:
    problem_of(api.get(path), 404)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic dXNlcjpwYXNz", "Bearer aa_x_y"])
def test_a_bad_key_is_a_401(tenant: Tenant, header: str) -> None:
    api = Api(Authorization=header)
    response = api.submit()
    problem_of(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    problem_of(api.get("/tasks"), 401)


def test_a_key_with_a_wrong_secret_is_a_401(api: Api, tenant: Tenant) -> None:
    token = api.headers["Authorization"]
    api.headers["Authorization"] = token[:-1] + ("A" if token[-1] != "A" else "B")
    problem_of(api.submit(), 401)


def test_a_revoked_or_expired_key_is_a_401(tenant: Tenant, make_key: Callable[..., tuple[ApiKey, str]]) -> None:
    key, token = make_key(tenant)
    api_keys.revoke(key)
    assert "revoked" in problem_of(Api(token).submit(), 401)["detail"]

    _, token = make_key(tenant, expires_at=clock.now() - timedelta(seconds=1))
    assert "expired" in problem_of(Api(token).submit(), 401)["detail"]


def test_a_suspended_tenant_is_a_403(api: Api, tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(suspended_at=clock.now())
    assert "suspended" in problem_of(api.submit(), 403)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "/tasks", "tasks:read"),
        ("post", "/tasks", "tasks:write"),
        ("get", f"/tasks/{UNKNOWN}", "tasks:read"),
        ("get", f"/tasks/{UNKNOWN}/jobs", "tasks:read"),
        ("post", f"/tasks/{UNKNOWN}/cancel", "tasks:write"),
        ("get", f"/jobs/{UNKNOWN}", "tasks:read"),
        ("get", "/approvals", "approvals:read"),
        ("get", f"/approvals/{UNKNOWN}", "approvals:read"),
        ("post", f"/approvals/{UNKNOWN}/decision", "approvals:decide"),
        ("get", "/documents", "documents:read"),
        ("post", "/documents", "documents:write"),
        ("get", "/dead-letters", "tasks:read"),
        ("post", f"/dead-letters/{UNKNOWN}/replay", "dead_letters:write"),
        ("post", f"/dead-letters/{UNKNOWN}/resolve", "dead_letters:write"),
        ("post", f"/dead-letters/{UNKNOWN}/cancel", "dead_letters:write"),
        ("get", "/dead-letters/groups", "tasks:read"),
        ("post", "/dead-letters/replay", "dead_letters:write"),
        ("get", "/dead-letter-replays", "tasks:read"),
        ("get", f"/dead-letter-replays/{UNKNOWN}", "tasks:read"),
        ("post", f"/dead-letter-replays/{UNKNOWN}/abort", "dead_letters:write"),
        ("post", f"/tasks/{UNKNOWN}/fork", "tasks:write"),
    ],
)
def test_a_missing_scope_is_a_403_that_names_it(
    tenant: Tenant, make_key: Callable[..., tuple[ApiKey, str]], method: str, path: str, scope: str
) -> None:
    other_scopes = sorted({"tasks:read", "tasks:write", "approvals:read", "documents:read"} - {scope})
    api = Api(make_key(tenant, *other_scopes)[1])
    assert scope in problem_of(getattr(api, method)(path), 403)["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"colour": "red"},
        {"state": "sleeping"},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"cursor": "nonsense"},
        {"cursor": "é"},
        {"created_after": "yesterday"},
        {"created_after": "2025-01-01T00:00:00"},
        {"created_before": "1735689600"},
        {"label": "team"},
        {"q": "a\x00b"},
        {"q": "x" * 201},
    ],
)
def test_a_query_that_makes_no_sense_is_a_400(api: Api, query: dict[str, str]) -> None:
    problem = problem_of(api.get("/tasks", **query), 400)
    assert problem["errors"][0]["field"].startswith(next(iter(query)))


def test_a_parameter_that_is_given_twice_is_a_400(api: Api) -> None:
    problem_of(api.get("/tasks?limit=1&limit=2"), 400)


def test_every_type_of_a_problem_can_be_read(api: Api) -> None:
    problem = problem_of(api.get("/tasks", limit="0"), 400)
    assert Api().get(problem["type"]).json()["status"] == 400
    assert len(Api().get("/problems").json()["results"]) > 10
    problem_of(Api().get("/problems/nonsense"), 404)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_does_not_exist_in_utc_is_refused(api: Api, moment: str) -> None:
    assert "9999" in problem_of(api.get("/tasks", created_after=moment), 400)["detail"]


def test_what_is_wrong_with_the_name_of_a_label_says_what_is_allowed(api: Api) -> None:
    labels = {"a b": "c", "from": "website", "": "x"}
    for answer in (api.submit(labels=labels), api.post("/tasks/cancel", {"filter": {"label": labels}})):
        errors = problem_of(answer, 422)["errors"]
        assert len(errors) == 2 and {error["field"].rpartition(".")[2] for error in errors} == {"a b", ""}
        assert all("letters a to z, digits, and any of _ . / -" in error["message"] for error in errors)
