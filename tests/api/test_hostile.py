"""Requests thrown with dice: none is a 500, none touches what is another tenant's, each refusal is a sentence."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

import pydantic
import pytest
from pytest_django import Settings

from agentapp.api import problems, query
from agentapp.api.urls import ADDRESSES
from agentapp.models import Approval, BulkReplay, Gate, History, Job, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys, bulk_replays, dead_letters, principals
from tests import harness
from tests.acceptance import scale
from tests.admin import kinds as kinds  # registers sample_reply
from tests.api import evil
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

REQUESTS = scale.sized(short=250, long=5_000)
SECRET = "unspoken"
# What a client sends that means no harm.
CONTENT = {"to": "a@b.test", "subject": "s", "body": "b"}
BODIES: dict[str, dict[str, Any]] = {
    "tasks": {"kind": "probe_fan", "input": {"text": "a", "parts": [1]}, "labels": {"team": "a"}, "deadline_s": 60},
    "fork": {"from_stage": "probe_sum", "input": {"text": "b"}},
    "decision": {"decision": "edit", "content_sha256": "0" * 64, "content": CONTENT, "reason": "r"},
    "documents": {"source": "s", "title": "t", "text": "# H\n\nA text that is long enough to be quoted.\n"},
    "dead-letters/replay": {"type": "sample_draft", "canary": 1, "batch": 10},
    "replay": {"payload": {"subject": "a", "body": "b", "to": "x@y.test", "score": 0.1}},
    "resolve": {"output": {"content": CONTENT, "sources": []}, "reason": "r"},
    "gates": {"scope": "tenant", "pattern": "sample", "concurrency": 3, "requests_per_min": 10.5, "reason": "r"},
    "gates/{gate_id}": {"concurrency": 3, "note": "n"},
}
QUERIES: dict[str, type[pydantic.BaseModel]] = {
    "tasks": query.Tasks,
    "approvals": query.Approvals,
    "dead-letters": query.DeadLetters,
    "limits": query.Limits,
}


def world(tenant: Tenant, word: str) -> dict[str, list[str]]:
    """Give a tenant an approval, a dead letter, and a bulk replay; return their ids by what an address calls them."""
    owner = principals.of_key(api_keys.create(tenant=tenant, name="owner", scopes=list(API_SCOPES))[0])
    waiting = harness.run_workflow(owner, "sample_reply", {"subject": word})
    harness.run_workflow(owner, "sample_reply", {"body": f"{word}: impossible"})
    bulk_replays.start(owner, fingerprint=dead_letters.groups(owner)[0].fingerprint, type="", canary=1, batch=1)
    return {
        "task_id": _ids(Workflow.objects.filter(tenant=tenant)),
        "job_id": _ids(Job.objects.filter(tenant=tenant).order_by("-state")),
        "approval_id": _ids(Approval.objects.filter(workflow=waiting)),
        "bulk_id": _ids(BulkReplay.objects.filter(tenant=tenant)),
    }


def _ids(rows: Any) -> list[str]:
    return [str(pk) for pk in rows.values_list("pk", flat=True)]


def test_no_request_breaks_anything_or_crosses_to_another_tenant(
    tenant: Tenant, other_tenant: Tenant, settings: Settings, api: Api, platform: Api
) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""
    dice = scale.dice("test_hostile")
    mine, theirs = world(tenant, "spoken"), world(other_tenant, SECRET)
    before = History.objects.filter(workflow__tenant=other_tenant).count()
    gate = str(Gate.objects.create(scope="global", concurrency=1_000).pk)
    for _ in range(REQUESTS):
        # An ASGI server must stand in front of that of MCP; it has a test of its own.
        address = dice.choice([address for address in ADDRESSES if address != "mcp"])
        ids = dice.choice((mine, theirs)) | {
            "gate_id": [gate], "scope": ["tenant", "global", "model", "x"], "name": ["sample", "global", "a/b"],
        }  # fmt: skip
        given = {name: dice.choice([*found, dice.choice(evil.TEXTS)]) for name, found in ids.items()}
        named = re.findall(r"{(\w+)}", address)
        path = "/" + address
        for name in named:
            path = path.replace(f"{{{name}}}", quote(given.get(name, "x"), errors="replace", safe=""))
        endpoint = ADDRESSES[address]
        method = dice.choice([name for name in ("get", "post", "put", "patch", "delete") if hasattr(endpoint, name)])
        speaker = platform if endpoint.scopes.get(method.upper(), "").startswith("gates") else api
        if method in ("get", "delete"):
            names = list(QUERIES.get(address, query.Page).model_fields)
            pairs = evil.query(dice, names, [*mine["task_id"], *theirs["task_id"]])
            answer = getattr(speaker, method)(f"{path}?{urlencode(pairs, errors='surrogatepass')}")
        else:
            sample = BODIES.get(address) or BODIES.get(address.rpartition("/")[2], {"reason": "r"})
            raw = evil.body(dice, sample)
            answer = getattr(speaker.client, method)(path, raw, content_type=evil.JSON, headers=speaker.headers)
        is_theirs = any(given[name] in theirs.get(name, ()) for name in named if name in given)
        check(answer, f"{method} {path}", is_theirs=is_theirs)
    assert History.objects.filter(workflow__tenant=other_tenant).count() == before


def check(answer: Any, what: str, *, is_theirs: bool) -> None:
    assert answer.status_code < 500, what
    assert SECRET not in answer.content.decode(), what
    if answer.status_code >= 400:
        problem_of(answer, answer.status_code)
    if is_theirs:
        # Found out about the address or the body first, or as unknown as what does not exist.
        assert answer.status_code in (400, 404, 415, 422), what


@pytest.mark.parametrize("body", [b'{"\\ud800": "\\u0000"}', b'{"reason": {"\\ud800": {"a": "\\ud800"}}}'])
def test_half_a_character_in_a_name_is_named_in_the_answer(api: Api, body: bytes) -> None:
    problem = problem_of(api.post("/tasks", body), 422)
    assert any("\ufffd" in error["field"] for error in problem["errors"])


def test_an_answer_about_thousands_of_mistakes_is_short(api: Api) -> None:
    body = {"kind": "probe_fan", "input": {}} | {f"{number:x}" * 20: 0 for number in range(9_000)}
    answer = api.post("/tasks", body)
    assert len(problem_of(answer, 422)["errors"]) == problems.MOST_ERRORS
    assert len(answer.content) < 50_000


def test_an_answer_quotes_no_more_of_a_long_name_than_helps(api: Api) -> None:
    answer = api.post("/tasks", {"kind": "probe_fan", "input": {}, "k" * 900_000: 0})
    problem_of(answer, 422)
    assert len(answer.content) < 10_000


def test_a_parameter_without_a_name_is_refused_in_words(api: Api) -> None:
    assert problem_of(api.get("/tasks?=a%00b"), 400)["errors"][0]["field"] == query.NAMELESS
