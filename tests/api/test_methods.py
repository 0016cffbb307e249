"""Every method at every address: an answer that programs can read, and never a page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from agentapp.api.urls import ADDRESSES
from agentapp.policies.permissions import OPERATOR_SCOPES
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")
ACCEPTS = (
    "",
    "*/*",
    "application/json",
    "application/json, text/html;q=0.5",
    "application/problem+json",
    "image/png",
    ";",
)
OF_OPERATORS = ("gates", "gate-changes", "limits", "queues", "model-choices", "tool-servers", "approval-policies")
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
ONES = {"task_id": "0190f5fe-7c00-7a00-8000-000000000000", "scope": "global", "name": "global", "kind": "probe_loop"}
PATHS = {address: "/" + re.sub(r"{(\w+)}", lambda found: ONES.get(found[1], "1"), address) for address in ADDRESSES}


def ask(method: str, path: str, **headers: str) -> Any:
    # With the CSRF check, as a stranger's request has it.
    visitor = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return visitor.generic(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("path", ["/unknown", "/unknown/", "/tasks/a/b/c", "/jobs", "/kinds/a/b", "/static/nothing.js"])
def test_an_unknown_address_is_a_404_by_any_method(path: str, accept: str) -> None:
    for method in METHODS:
        response = ask(method, path, **({"Accept": accept} if accept else {}))
        assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json"), method
        if method != "HEAD":
            problem_of(response, 404)


@pytest.mark.parametrize("path", ["/tasks/a/b/c", "/jobs"])
def test_below_the_nouns_of_the_api_a_browser_gets_json_too(path: str) -> None:
    for method in METHODS:
        assert ask(method, path, Accept=BROWSER).headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_address_answers_every_method_in_json(api: Api, platform: Api, address: str) -> None:
    endpoint, path = ADDRESSES[address], PATHS[address]
    speaker = platform if address.split("/")[0] in OF_OPERATORS else api
    # That of an artifact's content is no JSON. Who asks for JSON is answered in all other tests.
    for method in METHODS:
        response = ask(method, path, Accept=BROWSER, **speaker.headers)
        assert "html" not in response.headers.get("Content-Type", ""), method
        if not hasattr(endpoint, method.lower()) and method not in ("HEAD", "OPTIONS"):
            assert "GET" in response.headers["Allow"] or "POST" in response.headers["Allow"]
            problem_of(response, 405)


def test_options_says_what_there_is_and_needs_no_key(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = ask("OPTIONS", "/gates/1")
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert "Content-Type" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "FOO"])
def test_the_page_of_addresses_is_only_read(method: str) -> None:
    response = ask(method, "/")
    problem_of(response, 405)
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert ask("OPTIONS", "/").status_code == 204


def test_a_form_of_the_admin_without_its_token_is_a_page() -> None:
    response = ask("POST", "/admin/login/", Accept="application/json")
    assert (response.status_code, response.headers["Content-Type"]) == (403, "text/html; charset=utf-8")


@pytest.mark.parametrize("host", ["elsewhere.example.org", "a b"])
def test_a_host_that_is_not_ours_is_json_at_an_address_of_the_api(host: str) -> None:
    for path in ("/tasks", "/jobs"):
        problem_of(ask("GET", path, Accept=BROWSER, Host=host), 400)


TAKEN_STRICTLY = [
    address
    for address, endpoint in ADDRESSES.items()
    # Probes add parameters of their own against caches.
    if not address.startswith("artifacts") and not endpoint.ignores_parameters
]


@pytest.mark.parametrize("address", TAKEN_STRICTLY)
def test_an_unknown_parameter_is_refused_at_every_address_by_every_method(
    api: Api, platform: Api, address: str
) -> None:
    endpoint = ADDRESSES[address]
    for method in ("get", "post", "put", "patch", "delete"):
        if hasattr(endpoint, method):
            speaker = platform if endpoint.scopes.get(method.upper(), "") in OPERATOR_SCOPES else api
            response = speaker.client.generic(method.upper(), f"{PATHS[address]}?colour=red", headers=speaker.headers)
            problem = problem_of(response, 400)
            assert (problem["type"], problem["errors"][0]["field"]) == ("/problems/bad-query", "colour"), method


def test_a_known_parameter_is_unknown_where_nothing_reads_it(api: Api) -> None:
    problem = problem_of(api.client.post("/tasks?state=running", b"{}", content_type="application/json",
                                         headers=api.headers), 400)  # fmt: skip
    assert "Known are none." in problem["detail"]
    assert api.client.head("/tasks?limit=1", headers=api.headers).status_code == 200


@pytest.mark.parametrize(
    ("sent", "challenge"),
    [
        ("", 'Bearer realm="agentapp"'),
        ("Bearer", 'Bearer realm="agentapp"'),
        ("Bearer nonsense", 'Bearer realm="agentapp", error="invalid_token"'),
        ("Bearer aa_0123456789ab_" + "x" * 43, 'Bearer realm="agentapp", error="invalid_token"'),
        ("Basic dXNlcjpwYXNz", 'Bearer realm="agentapp"'),
    ],
)
def test_a_401_says_whether_it_is_the_token(sent: str, challenge: str) -> None:
    response = ask("GET", "/tasks", **({"Authorization": sent} if sent else {}))
    problem_of(response, 401)
    assert response.headers["WWW-Authenticate"] == challenge
