"""/mcp as an address: keys, hosts, bodies and browsers as at the API, and a prefix in front of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import HTTPMessage
from typing import Any

import pytest

from agentapp import clock
from agentapp.models import ApiKey, Tenant
from agentapp.services import api_keys, workflows
from agentapp.services.principals import Principal
from tests.api.conftest import QUESTION
from tests.api.live import Web, environment, serving
from tests.mcp_server.conftest import POOLED, Assistant

pytestmark = pytest.mark.django_db(transaction=True)

MakeKey = Callable[..., tuple[ApiKey, str]]
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
BOTH = "application/json, text/event-stream"
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def ask(web: Web, body: Any = PING, *, token: str = "", method: str = "POST", **more: str) -> Any:
    """Return status, headers and content of the answer to one message."""
    headers = {"Accept": BOTH} | ({"Authorization": f"Bearer {token}"} if token else {})
    return web.ask(method, "/mcp", body, **headers | {name.replace("_", "-"): value for name, value in more.items()})


def problem(answer: tuple[int, HTTPMessage, Any], status: int) -> str:
    """Return the detail of a problem document."""
    found, headers, content = answer
    assert (found, headers["Content-Type"]) == (status, "application/problem+json"), content
    return str(content["detail"])


def test_a_message_with_a_key_is_answered_in_json(web: Web, make_key: MakeKey) -> None:
    for path in ("/mcp", "/mcp/"):
        status, headers, content = web.ask(
            "POST", path, PING, Authorization=f"Bearer {make_key('tasks:read')[1]}", Accept=BOTH
        )
        assert (status, content) == (200, {"jsonrpc": "2.0", "id": 1, "result": {}})
        assert headers["Content-Type"] == "application/json"
        assert headers["Cache-Control"] == "no-store"
        assert headers.get_all("Content-Length") == [str(len(json.dumps(content, separators=(",", ":"))))]
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "application/problem+json"}])
def test_accept_is_read_as_at_the_api(web: Web, make_key: MakeKey, headers: dict[str, str]) -> None:
    status, _, content = web.ask("POST", "/mcp", PING, Authorization=f"Bearer {make_key()[1]}", **headers)

    assert (status, content["result"]) == (200, {})


def test_without_a_key_nothing_is_answered(web: Web) -> None:
    for token in ("", "aa_nothing"):
        answer = ask(web, token=token)
        problem(answer, 401)
        assert answer[1]["WWW-Authenticate"].startswith('Bearer realm="agentapp"')


def test_a_key_that_is_revoked_opens_nothing_from_then_on(web: Web, make_key: MakeKey) -> None:
    key, token = make_key()
    assert ask(web, token=token)[0] == 200
    api_keys.revoke(key)

    answer = ask(web, token=token)

    assert "is revoked" in problem(answer, 401)
    assert 'error="invalid_token"' in answer[1]["WWW-Authenticate"]


def test_a_tenant_that_is_suspended_is_told_so(web: Web, make_key: MakeKey, tenant: Tenant) -> None:
    token = make_key()[1]
    Tenant.objects.filter(pk=tenant.pk).update(suspended_at=clock.now())

    assert "is suspended" in problem(ask(web, token=token), 403)


@pytest.mark.parametrize("accept", [BROWSER, "text/event-stream", "application/json"])
def test_a_get_is_told_what_this_is(web: Web, accept: str) -> None:
    answer = ask(web, None, method="GET", Accept=accept)

    assert "MCP server" in problem(answer, 405)
    assert answer[1]["Allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://elsewhere.example.org", 403), ("null", 403), ("http://127.0.0.1:{port}", 200)],
)
def test_a_page_of_another_site_is_refused(web: Web, make_key: MakeKey, origin: str, status: int) -> None:
    answer = ask(web, token=make_key()[1], Origin=origin.format(port=web.port))

    assert answer[0] == status, answer
    assert ask(web, token=make_key()[1], Host="elsewhere.example.org")[0] == 400


def test_a_body_is_read_as_strictly_as_those_of_the_api(web: Web, make_key: MakeKey) -> None:
    token = make_key()[1]

    assert "not JSON" in problem(ask(web, b"{", token=token), 400)
    assert "stands twice" in problem(ask(web, b'{"id": 1, "id": 2}', token=token), 400)
    problem(ask(web, PING, token=token, Content_Type="text/plain"), 415)
    problem(ask(web, b" " * 3_000_000, token=token), 413)
    assert ask(web, b"[]", token=token)[0] == 400
    assert ask(web, token=token)[0] == 200


@pytest.mark.parametrize("variable", ["AGENTAPP_ROOT_PATH", "UVICORN_ROOT_PATH"])
def test_it_works_below_a_path_of_a_host(make_key: MakeKey, principal: Principal, variable: str) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with serving(environment() | POOLED | {variable: "/agents/eu"}) as web:
        mine = Assistant(f"{web.url}/mcp", make_key()[1])
        assert mine.call("get_task", task_id=str(task.pk))["id"] == str(task.pk)
        found: Any = mine.with_client(lambda client: client.call_tool("get_task", {"task_id": "1"}))
        assert found.structured_content["type"] == "/agents/eu/problems/invalid-input"

        # A name of POST /tasks stands for the same request here, and its address is part of the request.
        body = {"kind": "support_reply", "input": QUESTION}
        named = {"Authorization": f"Bearer {mine.token}", "Idempotency-Key": "once"}
        made = web.ask("POST", "/tasks", body, **named)[2]
        assert mine.call("submit_task", **body, idempotency_key="once")["id"] == made["id"]
