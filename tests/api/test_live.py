"""The API over a real socket: probes, large bodies, a database that is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from agentapp.local import ports
from agentapp.models import Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys
from tests.api.conftest import QUESTION
from tests.api.live import Web, environment, serving

pytestmark = pytest.mark.django_db(transaction=True)

TASK = {"kind": "support_reply", "input": QUESTION}
POOLED = {"AGENTAPP_DB_POOL_MAX": "4"}


@pytest.fixture
def bearer(tenant: Tenant, other_tenant: Tenant) -> dict[str, str]:
    token = api_keys.create(tenant=tenant, name="live", scopes=list(API_SCOPES))[1]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[Web]:
    """A web process on the database of the tests. One for all: between requests it keeps nothing but what it counts."""
    with serving(environment() | POOLED) as running:
        yield running


@pytest.fixture(scope="module")
def web_without_database() -> Iterator[Web]:
    nowhere = f"postgresql://nobody@127.0.0.1:{ports.free(1)[0]}/none"
    with serving(environment() | POOLED | {"DATABASE_URL": nowhere, "AGENTAPP_DB_POOL_WAIT_S": "2"}) as running:
        yield running


def test_a_task_is_accepted_and_read_again(web: Web, bearer: dict[str, str]) -> None:
    status, headers, task = web.ask("POST", "/tasks", TASK, **bearer)
    assert (status, headers["Location"]) == (202, f"/tasks/{task['id']}")
    assert web.ask("GET", f"/tasks/{task['id']}", **bearer)[2]["id"] == task["id"]
    status, _, ready = web.ask("GET", "/readyz")
    assert (status, ready["status"], ready["postgres"], ready["broker"]) == (200, "ready", "up", "up")


def test_two_megabytes_get_their_answer_and_leave_nothing(web: Web, bearer: dict[str, str]) -> None:
    chunks = (b"x" * 100_000 for _ in range(20))
    for body in (b'{"kind": "' + b"x" * 2_000_000, chunks):
        status, headers, problem = web.ask("POST", "/tasks", body, **bearer)
        assert (status, headers["Content-Type"]) == (413, "application/problem+json")
        assert problem["type"] == "/problems/body-too-large"
    assert Workflow.objects.count() == 0


def test_a_body_in_chunks_is_read(web: Web, bearer: dict[str, str]) -> None:
    whole = json.dumps(TASK).encode()
    assert web.ask("POST", "/tasks", iter([whole[:30], whole[30:]]), **bearer)[0] == 202


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/tasks", TASK), ("GET", "/tasks", None), ("GET", "/readyz", None), ("POST", "/documents", {})],
)
def test_without_a_database_everything_says_when_to_come_back(
    web_without_database: Web, bearer: dict[str, str], method: str, path: str, body: Any
) -> None:
    status, headers, problem = web_without_database.ask(method, path, body, **bearer)
    assert (status, headers["Content-Type"]) == (503, "application/problem+json")
    assert int(headers["Retry-After"]) > 0
    assert problem["type"] == "/problems/unavailable"
    assert "127.0.0.1" not in str(problem)
    assert web_without_database.ask("GET", "/healthz")[0] == 200


def test_probes_need_no_key(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json()["status"] == "ready"
    assert client.post("/healthz").status_code == 405
