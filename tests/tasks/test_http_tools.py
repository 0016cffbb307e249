"""Agents call services that an operator has set up: below their address alone, with a secret that nobody sees. [C6]"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from agentapp import clock
from agentapp.lifecycle import make_due
from agentapp.models import Effect, Job, Tenant, Workflow
from agentapp.policies import http_endpoints
from agentapp.services.principals import Principal
from tests.delivery.receiver import Receiver, cut_content, receiving, status
from tests.harness import drain
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, pending, result, results, run, script

pytestmark = pytest.mark.django_db

SECRET = "canary-of-the-crm-1"
Json = dict[str, Any]
OK = status(201, content=b'{"id": 5}', headers="Content-Type: application/json\r\n")
NOTE = {"endpoint": "crm", "method": "POST", "path": "customers/17/notes", "body": {"text": "Called."}}
POST = call("http_request", NOTE)
GET = call("http_get", endpoint="crm", path="customers/17", query={"with": "a b&c"})
TOOLS = ["http_get", "http_request"]


@pytest.fixture(autouse=True)
def crm_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOL_SECRET_CRM", SECRET)


@pytest.fixture
def crm(settings: Settings, tenant: Tenant, agent_model: OfflineModel) -> Iterator[Receiver]:
    """A service of the tenant, which answers 201."""
    with receiving(OK) as receiver:
        set_up(settings, receiver.port)
        yield receiver


def set_up(settings: Settings, port: int, **more: Any) -> None:
    said: Json = {
        "base_url": f"http://127.0.0.1:{port}/v1", "tenants": ["*"], "methods": ["GET", "HEAD", "POST", "DELETE"],
        "networks": ["127.0.0.0/8"], "secret": "TOOL_SECRET_CRM",
    }  # fmt: skip
    settings.AGENTAPP_HTTP_ENDPOINTS = http_endpoints.read(json.dumps({"crm": said | more}))


def approved(principal: Principal, *calls: Json) -> Workflow:
    """A run that makes these calls, which a person approves."""
    task = run(principal, script(list(calls), "Done."), tools=TOOLS)
    assert task.state == "awaiting_approval"
    return decide(principal, task, "approve")


def tried_again(task: Workflow) -> Workflow:
    """Make the retry of a job due, and run on."""
    retryable = Job.objects.filter(workflow=task, state="retryable")
    retryable.update(scheduled_at=clock.now() - timedelta(minutes=1))
    for job in retryable:
        make_due.make_due(job, actor="dispatcher")
    drain(task)
    task.refresh_from_db()
    return task


def test_a_person_approves_the_request_and_it_is_sent_once_with_its_secret(principal: Principal, crm: Receiver) -> None:
    task = run(principal, script([POST], "Done."), tools=TOOLS)
    assert pending(task).content == {"calls": [{"id": "t001c0000", "tool": "http_request", "arguments": NOTE}]}
    assert crm.requests == []

    task = decide(principal, task, "approve")

    (request,) = crm.requests
    effect = Effect.objects.get()
    assert request.line == "POST /v1/customers/17/notes HTTP/1.1"
    assert json.loads(request.body) == {"text": "Called."}
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["idempotency-key"] == str(effect.pk)
    assert (effect.type, effect.state, effect.response) == (
        "http_request",
        "confirmed",
        {"status": 201, "content": '{"id": 5}'},
    )
    ((tool, outcome, text),) = results(task)
    assert (tool, outcome, json.loads(text)["status"]) == ("http_request", "ok", 201)
    assert result(task)["tainted"], "what a service answers was written by others"


def test_reading_needs_no_approval_until_the_run_has_read_what_others_wrote(
    principal: Principal, crm: Receiver
) -> None:
    task = run(principal, script([GET], [GET], "Done."), tools=TOOLS)

    assert [request.line for request in crm.requests] == ["GET /v1/customers/17?with=a+b%26c HTTP/1.1"]
    assert "idempotency-key" not in crm.requests[0].headers
    assert task.state == "awaiting_approval", "the second one could carry away what the first one has read"
    task = decide(principal, task, "approve")
    assert [outcome for _, outcome, _ in results(task)] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"endpoint": "erp"}, "There is no endpoint 'erp'; there are: crm."),
        ({"method": "PUT"}, "may be called with GET, HEAD, POST, DELETE, not with PUT"),
        ({"path": "../admin"}, "no parts . or .."), ({"path": "a\\..\\b"}, "no backslash"),
        ({"path": "a" * 2_000}, "at most 1,000"),
    ],
)  # fmt: skip
def test_what_was_not_set_up_is_an_error_for_the_model(
    principal: Principal, crm: Receiver, arguments: Json, words: str
) -> None:
    task = approved(principal, call("http_request", NOTE | arguments))

    ((_, outcome, text),) = results(task)
    assert outcome == "error" and words in text
    assert crm.requests == [] and not Effect.objects.exists()


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "https://evil.example/", "a%2e%2e/x", "a?b=c#d", "ü /\r\nHost: evil"]
)
def test_no_path_leads_elsewhere(principal: Principal, crm: Receiver, path: str) -> None:
    approved(principal, call("http_request", NOTE | {"path": path}))

    (request,) = crm.requests
    assert request.line.startswith("POST /v1/") and "?" not in request.line and "%2e" not in request.line
    assert request.headers["host"] == f"127.0.0.1:{crm.port}"


def test_another_tenant_has_no_such_endpoint(principal: Principal, crm: Receiver, settings: Settings) -> None:
    set_up(settings, crm.port, tenants=["somebody-else"])

    task = approved(principal, POST)

    assert "There is no endpoint 'crm'; there are: none." in results(task)[0][2]
    assert crm.requests == []


def test_a_key_without_the_scope_and_a_run_that_names_no_tools_have_none_of_them(
    principal: Principal, crm: Receiver
) -> None:
    task = run(principal, script([GET], "Done."))

    assert "http_get" not in str(Job.objects.get(workflow=task, type="agent_turn", output__turn=1).output["granted"])  # type: ignore[index]
    assert crm.requests == []


def test_a_redirect_is_told_and_not_followed(principal: Principal, crm: Receiver) -> None:
    with receiving(OK) as elsewhere:
        crm.answers[:] = [status(307, headers=f"Location: {elsewhere.url}\r\n")]
        task = approved(principal, POST)

        assert elsewhere.requests == []
        assert json.loads(results(task)[0][2])["location"] == elsewhere.url


@pytest.mark.parametrize(
    ("base_url", "networks"), [("http://127.0.0.1:{}/v1", []), ("http://127.0.0.1:{}/v1", ["10.0.0.0/8"])]
)
def test_an_endpoint_is_not_private_unless_its_network_is_named(
    principal: Principal, crm: Receiver, settings: Settings, base_url: str, networks: list[str]
) -> None:
    set_up(settings, crm.port, base_url=base_url.format(crm.port), networks=networks)

    task = approved(principal, POST)

    ((_, outcome, text),) = results(task)
    assert outcome == "error" and "may not be called" in text
    assert (crm.connections, Effect.objects.get().state) == (0, "prepared")


def test_a_service_that_is_away_was_sent_nothing_and_is_tried_again(
    principal: Principal, crm: Receiver, settings: Settings
) -> None:
    with receiving(OK) as gone:
        port = gone.port
    set_up(settings, port)
    task = approved(principal, POST)
    assert Effect.objects.get().state == "prepared"

    set_up(settings, crm.port, base_url=f"http://127.0.0.1:{port}/v1")
    task = tried_again(tried_again(task))

    assert "after 3 attempts" in results(task)[0][2] and Effect.objects.get().state == "prepared"


@pytest.mark.parametrize("code", [408, 425, 429])
def test_an_answer_that_nothing_was_done_lets_it_be_sent_again(principal: Principal, crm: Receiver, code: int) -> None:
    crm.answers[:] = [status(code), OK]
    task = approved(principal, POST)
    assert Effect.objects.get().state == "prepared"

    task = tried_again(task)

    assert json.loads(results(task)[0][2])["status"] == 201
    assert len({request.headers["idempotency-key"] for request in crm.requests}) == 1


@pytest.mark.parametrize("answer", [status(500), status(503), cut_content], ids=["500", "503", "cut"])
def test_a_doubt_is_for_a_person_unless_the_service_does_everything_once(
    principal: Principal, crm: Receiver, settings: Settings, answer: Any
) -> None:
    crm.answers[:] = [answer, OK]
    task = approved(principal, POST)
    if answer is cut_content:
        assert json.loads(results(task)[0][2])["is_cut"], "its status says that it was done"
        return
    assert (task.state, Effect.objects.get().state) == ("needs_attention", "unknown")
    assert len(crm.requests) == 1


def test_a_service_that_does_everything_once_is_asked_again(
    principal: Principal, crm: Receiver, settings: Settings
) -> None:
    set_up(settings, crm.port, is_idempotent=True)
    crm.answers[:] = [status(503), OK]
    task = approved(principal, POST)
    assert Effect.objects.get().state == "sent"

    task = tried_again(task)

    assert Effect.objects.get().state == "confirmed"
    first, second = crm.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert json.loads(results(task)[0][2])["status"] == 201


@pytest.mark.parametrize("value", ["", "short", "customers"])
def test_a_secret_that_is_missing_or_weak_is_not_sent(
    principal: Principal, crm: Receiver, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TOOL_SECRET_CRM", value)

    task = approved(principal, POST)

    ((_, outcome, text),) = results(task)
    assert outcome == "error" and "The secret TOOL_SECRET_CRM is" in text
    assert crm.requests == [] and not Effect.objects.exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("[]", "a JSON object"), ("{", "no JSON"), ('{"CRM": {}}', "no name"), ('{"crm": {}}', "base_url"),
        ('{"crm": {"base_url": "https://user:pw-1@h", "tenants": ["a"]}}', "user name"),
        ('{"crm": {"base_url": "https://h?a=b", "tenants": ["a"]}}', "no query"),
        ('{"crm": {"base_url": "https://h", "tenants": []}}', "tenants"),
        ('{"crm": {"base_url": "https://h", "tenants": ["a"], "secret": "DATABASE_URL"}}', "TOOL_SECRET_"),
        ('{"crm": {"base_url": "https://h", "tenants": ["a"], "header": "Host"}}', "header"),
        ('{"crm": {"base_url": "https://h", "tenants": ["a"], "header": "A: b"}}', "header"),
        ('{"crm": {"base_url": "https://h", "tenants": ["a"], "networks": ["10.0.0.1/8"]}}', "networks"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused_at_start(said: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        http_endpoints.read(said)


def test_the_schemes_of_a_header() -> None:
    def header(**more: str) -> Json:
        return http_endpoints.HttpEndpoint(base_url="https://h", tenants=("a",), **more).credentials("u:p-1")  # type: ignore[arg-type]

    assert header() == {"Authorization": "Bearer u:p-1"}
    assert header(scheme="Basic") == {"Authorization": "Basic dTpwLTE="}
    assert header(scheme="", header="X-Api-Key") == {"X-Api-Key": "u:p-1"}
