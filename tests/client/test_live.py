"""The client against the API itself."""

from __future__ import annotations

import subprocess
import sys
import typing
from collections.abc import Iterator

import pytest

from agentapp.client import Client, Refused, shapes
from agentapp.models import ApiKey, Job, Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys, principals
from tests import harness
from tests.admin import kinds as kinds  # registers sample_reply
from tests.api import live

pytestmark = pytest.mark.django_db(transaction=True)
QUESTION = {"subject": "Invoices", "body": "Where?", "customer_email": "reader@example.org"}


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[live.Web]:
    with live.serving(live.environment()) as running:
        yield running


@pytest.fixture
def client(web: live.Web, tenant: Tenant) -> Iterator[Client]:
    _, token = api_keys.create(tenant=tenant, name="client", scopes=list(API_SCOPES))
    with Client(web.url, token) as made:
        yield made


def test_a_task_is_submitted_read_listed_and_cancelled(client: Client) -> None:
    task = client.submit("support_reply", QUESTION, labels={"from": "test"}, priority="high")

    assert client.get(task["id"])["priority"] == "high"
    assert [each["id"] for each in client.tasks(label={"from": "test"})] == [task["id"]]
    assert next(job["type"] for job in client.jobs(task["id"])) == "classify_ticket"
    assert client.cancel(task["id"], reason="enough")["state"] == "cancelled"
    assert client.wait(task["id"])["state"] == "cancelled"
    with pytest.raises(Refused, match="nothing left to cancel") as refused:
        client.cancel(task["id"])
    assert refused.value.kind == "conflict"


def test_the_same_name_makes_one_task(client: Client) -> None:
    first, second = (client.submit("support_reply", QUESTION, idempotency_key="k") for _ in range(2))

    assert first["id"] == second["id"]


def test_what_a_client_sends_wrongly_is_told_by_field(client: Client) -> None:
    with pytest.raises(Refused) as refused:
        client.submit("support_reply", QUESTION | {"customer_email": "nobody"})

    assert [error["field"] for error in refused.value.errors] == ["input.customer_email"]


def test_an_approval_is_decided(client: Client, tenant: Tenant) -> None:
    principal = harness_principal(tenant)
    waiting = harness.run_workflow(principal, "sample_reply", {})

    (approval,) = client.approvals(state="pending", task=str(waiting.pk))
    decided = client.decide(approval, "approve")

    assert decided["state"] == "approved"
    with pytest.raises(Refused):
        client.decide(approval, "reject", reason="too late")
    assert Job.objects.filter(workflow=waiting, type="sample_send", state="available").exists()


def harness_principal(tenant: Tenant) -> typing.Any:
    return principals.of_key(ApiKey.objects.filter(tenant=tenant).first() or ApiKey())


@pytest.mark.parametrize(
    ("shape", "path"),
    [(shapes.Task, "tasks/{task}"), (shapes.Job, "jobs"), (shapes.Approval, "approval")],
    ids=["task", "job", "approval"],
)
def test_the_shapes_are_those_of_the_api(client: Client, tenant: Tenant, shape: type, path: str) -> None:
    """Every field of a shape is there; the API may say more."""
    waiting = harness.run_workflow(harness_principal(tenant), "sample_reply", {})
    found: typing.Any = {
        "tasks/{task}": lambda: client.get(str(waiting.pk)),
        "jobs": lambda: client.jobs(str(waiting.pk))[0],
        "approval": lambda: next(client.approvals(task=str(waiting.pk))),
    }[path]()

    assert set(typing.get_type_hints(shape)) <= set(found)


def test_the_client_needs_no_django() -> None:
    script = "import sys, agentapp.client; sys.exit(len({'django', 'celery', 'psycopg'} & set(sys.modules)))"

    subprocess.run([sys.executable, "-c", script], check=True, env={"PATH": ""})
