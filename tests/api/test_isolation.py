"""A tenant sees nothing of another by any address. (INV10)"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from agentapp.api.urls import ADDRESSES
from agentapp.models import (
    Approval,
    Artifact,
    Document,
    Gate,
    GateChange,
    Job,
    Limit,
    Tenant,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
    Workflow,
)
from agentapp.policies.permissions import OPERATOR_SCOPES
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def theirs(other_api: Api, other_tenant: Tenant) -> dict[str, UUID]:
    """Return ids of the other tenant's records, one of each noun."""
    for kind, fields in (("probe_decision", {}), ("probe_fan", {"fail": "permanent"})):
        assert other_api.post("/tasks", {"kind": kind, "input": fields}).status_code == 202
    harness.drain()
    text = "Nobody else may read this."
    moment = Workflow.objects.earliest("id").created_at
    document = Document.objects.create(
        tenant=other_tenant, source="a.md", title="A", sha256="0" * 64, size=len(text), created_at=moment,
        updated_at=moment,
    )  # fmt: skip
    artifact = Artifact.objects.create(
        tenant=other_tenant, workflow=Workflow.objects.earliest("id"), name="a", size=1, sha256="0" * 64,
        created_at=moment,
    )  # fmt: skip
    bulk = other_api.post("/dead-letters/replay", {"type": "probe_first"})
    return {
        "task": Workflow.objects.earliest("id").pk,
        "job": Job.objects.earliest("id").pk,
        "letter": Job.objects.get(state="dead_lettered").pk,
        "approval": Approval.objects.get().pk,
        "document": document.pk,
        "artifact": artifact.pk,
        **webhook_rows(other_tenant, moment),
        "bulk": UUID(bulk.json()["id"]),
    }


def webhook_rows(tenant: Tenant, moment: datetime) -> dict[str, UUID]:
    url, task = "https://hooks.test/", Workflow.objects.earliest("id").pk
    endpoint = WebhookEndpoint.objects.create(tenant=tenant, url=url, salt=b"x" * 32)
    event = WebhookEvent.objects.create(
        tenant=tenant, workflow_id=task, seq=1, type="task.completed", created_at=moment, spread_at=moment
    )
    delivery = WebhookDelivery.objects.create(
        event=event, endpoint=endpoint, tenant=tenant, url=url, workflow_id=task, payload={}, created_at=moment
    )
    return {"endpoint": endpoint.pk, "delivery": delivery.pk}


def test_lists_are_empty_for_another_tenant(api: Api, other_api: Api, theirs: dict[str, UUID]) -> None:
    for path in ("/tasks", "/approvals", "/dead-letters", "/dead-letters/groups", "/dead-letter-replays", "/documents",
                 "/webhook-endpoints", "/webhook-deliveries"):  # fmt: skip
        assert other_api.get(path).json()["results"] != [], path
        assert api.get(path).json() == {"results": [], "next": None}, path


BY_ID: list[tuple[str, str, str, Any]] = [
    ("get", "/tasks/{}", "task", None),
    ("get", "/tasks/{}/jobs", "task", None),
    ("get", "/tasks/{}/artifacts", "task", None),
    ("get", "/artifacts/{}", "artifact", None),
    ("get", "/documents/{}", "document", None),
    ("delete", "/documents/{}", "document", None),
    ("get", "/tasks/{}/stream", "task", None),
    ("get", "/tasks/{}/ws", "task", None),
    ("post", "/tasks/{}/cancel", "task", {}),
    ("post", "/tasks/{}/fork", "task", {"from_stage": "probe_first"}),
    ("get", "/jobs/{}", "job", None),
    ("get", "/approvals/{}", "approval", None),
    ("post", "/approvals/{}/decision", "approval", {"decision": "approve", "content_sha256": "0" * 64}),
    ("post", "/dead-letters/{}/replay", "letter", {}),
    ("post", "/dead-letters/{}/replay", "letter", {"from_stage": "probe_first"}),
    ("post", "/dead-letters/{}/resolve", "letter", {"output": {"text": "mine"}, "reason": "mine now"}),
    ("post", "/dead-letters/{}/cancel", "letter", {"reason": "mine now"}),
    ("get", "/dead-letter-replays/{}", "bulk", None),
    ("post", "/dead-letter-replays/{}/abort", "bulk", {}),
    ("get", "/webhook-endpoints/{}", "endpoint", None),
    ("patch", "/webhook-endpoints/{}", "endpoint", {"description": "mine"}),
    ("delete", "/webhook-endpoints/{}", "endpoint", None),
    ("post", "/webhook-endpoints/{}/rotate", "endpoint", {}),
    ("post", "/webhook-endpoints/{}/test", "endpoint", {}),
    ("get", "/webhook-endpoints/{}/deliveries", "endpoint", None),
    ("get", "/webhook-deliveries/{}", "delivery", None),
    ("post", "/webhook-deliveries/{}/resend", "delivery", {}),
]
# They belong to no tenant.
ELSEWHERE = ("gates", "limits", "problems", "kinds")


def test_every_address_with_an_id_is_among_these() -> None:
    with_id = {
        (method.lower(), "/" + re.sub(r"{\w+}", "{}", address))
        for address, endpoint in ADDRESSES.items()
        for method in endpoint.scopes
        if "{" in address and not address.startswith(ELSEWHERE)
    }
    assert with_id == {(method, path) for method, path, _, _ in BY_ID}


@pytest.mark.parametrize(("method", "path", "noun", "body"), BY_ID)
def test_a_foreign_id_is_as_unknown_as_one_that_nobody_has(
    api: Api, theirs: dict[str, UUID], method: str, path: str, noun: str, body: Any
) -> None:
    before = list(Workflow.objects.order_by("id").values_list("id", "state", "seq"))

    def answer(identifier: UUID) -> str:
        address = path.format(identifier)
        send = getattr(api, method)
        response = send(address) if body is None else send(address, body)
        return json.dumps(problem_of(response, 404)).replace(str(identifier), "ID")

    assert answer(theirs[noun]) == answer(uuid4())
    assert list(Workflow.objects.order_by("id").values_list("id", "state", "seq")) == before


def test_a_bulk_replay_takes_nothing_from_elsewhere(api: Api, other_api: Api, theirs: dict[str, UUID]) -> None:
    (group,) = other_api.get("/dead-letters/groups").json()["results"]
    for selection in ({"fingerprint": group["fingerprint"]}, {"type": "probe_first"}):
        problem_of(api.post("/dead-letters/replay", selection), 404)


def test_a_cursor_leads_nowhere_else(api: Api, other_api: Api, theirs: dict[str, UUID]) -> None:
    following = other_api.get("/tasks", limit="1").json()["next"]
    assert api.get(following).json() == {"results": [], "next": None}


def test_a_search_does_not_look_elsewhere(api: Api, other_api: Api, theirs: dict[str, UUID]) -> None:
    assert other_api.get("/tasks", q="hello").json()["results"]
    assert api.get("/tasks", q="hello").json()["results"] == []
    assert api.get("/approvals", task=str(theirs["task"])).json()["results"] == []


OF_THE_PLATFORM = sorted(
    (method, address)
    for address, endpoint in ADDRESSES.items()
    for method, scope in endpoint.scopes.items()
    if scope in OPERATOR_SCOPES
)


@pytest.mark.parametrize(("method", "address"), OF_THE_PLATFORM)
def test_what_is_of_the_platform_is_closed_to_every_tenant(
    api: Api, theirs: dict[str, UUID], method: str, address: str
) -> None:
    gate = Gate.objects.create(scope="global", pattern="global", concurrency=9)
    before = list(Limit.objects.order_by("key").values())
    path = "/" + address.format(gate_id=gate.pk, scope="tenant", name="other")

    ask = {"GET": api.get, "POST": lambda path: api.post(path, {"reason": "mine"}), "DELETE": api.delete,
           "PUT": lambda path: api.put(path, {"concurrency": 1}),
           "PATCH": lambda path: api.patch(path, {"concurrency": 1})}  # fmt: skip
    problem = problem_of(ask[method](path), 403)

    assert "gates:" in problem["detail"] and "other" not in problem["detail"]
    assert list(Limit.objects.order_by("key").values()) == before
    assert (Gate.objects.get().concurrency, GateChange.objects.count()) == (9, 0)


def test_a_key_of_the_platform_opens_no_workspace(platform: Api, theirs: dict[str, UUID]) -> None:
    assert len(OF_THE_PLATFORM) == 12
    for path in ("/tasks", f"/tasks/{theirs['task']}", f"/jobs/{theirs['job']}", "/approvals", "/documents"):
        problem_of(platform.get(path), 403)
