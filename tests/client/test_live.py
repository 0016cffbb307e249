"""The client against the API itself."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import subprocess
import sys
import typing
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO

import pytest
from django.core.files.base import ContentFile

from agentapp import clock
from agentapp.api.answers import approvals as of_approvals
from agentapp.api.answers import documents as of_documents
from agentapp.api.answers import forks as of_forks
from agentapp.api.answers import kinds as of_kinds
from agentapp.api.answers import memories as of_memories
from agentapp.api.answers import notices
from agentapp.api.answers import schedules as of_schedules
from agentapp.api.answers import streams as of_streams
from agentapp.api.answers import tasks as of_tasks
from agentapp.client import AsyncClient, Client, Refused, contents, shapes
from agentapp.models import ApiKey, Artifact, Job, Tenant, Workflow
from agentapp.policies import moments
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


def test_an_approval_is_claimed_released_snoozed_and_taken_back(client: Client, tenant: Tenant) -> None:
    waiting = harness.run_workflow(harness_principal(tenant), "sample_reply", {})
    (approval,) = client.approvals(state="pending", task=str(waiting.pk))
    until = moments.written(clock.now() + timedelta(hours=1))

    claimed = client.claim(approval["id"])
    assert claimed["claimed_by"] and claimed["claimed_until"]
    assert client.claim(approval["id"], take_over=True)["claimed_by"] == claimed["claimed_by"]
    with pytest.raises(Refused) as refused:
        client.claim(approval["id"], person="nobody")
    assert [error["field"] for error in refused.value.errors] == ["person"]
    assert client.release(approval["id"])["claimed_by"] is None
    assert client.snooze(approval["id"], until=until)["snoozed_until"] == until
    assert client.snooze(approval["id"], until=None)["snoozed_until"] is None

    client.decide(approval, "approve")
    asked = client.withdraw(approval["id"], reason="too early")
    assert (asked["state"], asked["content"]) == ("pending", approval["content"])
    with pytest.raises(Refused):
        client.release(approval["id"])


async def in_turn(url: str, token: str, task: str) -> list[typing.Any]:
    async with AsyncClient(url, token) as client:
        (approval,) = [each async for each in client.approvals(state="pending", task=task)]
        claimed = await client.claim(approval["id"])
        released, snoozed = await client.release(approval["id"]), await client.snooze(approval["id"], until=None)
        await client.decide(approval, "approve")
        asked = await client.withdraw(approval["id"])
        return [bool(claimed["claimed_by"]), released["claimed_by"], snoozed["snoozed_until"], asked["state"]]


def test_the_asynchronous_client_does_the_same(web: live.Web, tenant: Tenant) -> None:
    _, token = api_keys.create(tenant=tenant, name="client", scopes=list(API_SCOPES))
    waiting = harness.run_workflow(harness_principal(tenant), "sample_reply", {})

    assert asyncio.run(in_turn(web.url, token, str(waiting.pk))) == [True, None, None, "pending"]


def harness_principal(tenant: Tenant) -> typing.Any:
    return principals.of_key(ApiKey.objects.filter(tenant=tenant).first() or ApiKey())


def test_what_has_happened_is_listed_over_pages(
    client: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = harness.run_workflow(harness_principal(tenant), "sample_reply", {})
    first = client.read(f"tasks/{task.pk}/events", limit=3)

    listed = list(client.events(str(task.pk)))

    assert [event["data"]["seq"] for event in listed] == list(range(1, task.seq + 1))
    assert first["results"] == listed[:3] and first["next"] == f"/tasks/{task.pk}/events?last_event_id=3&limit=3"
    assert listed == [{"type": event.type, "data": event.data} for event in upto(client, task, len(listed))]


def upto(client: Client, task: Workflow, count: int) -> typing.Iterator[typing.Any]:
    """The first events of a stream."""
    return itertools.islice(client.stream(str(task.pk)), count)


def test_artifacts_are_listed_read_in_parts_and_downloaded(
    client: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "PIECE_BYTES", 4)
    waiting = harness.run_workflow(harness_principal(tenant), "sample_reply", {})
    for text in (b"0123456789", b"", b"0123"):
        row = Artifact(
            tenant=tenant, workflow=waiting, name="text.txt", size=len(text), created_at=waiting.created_at,
            sha256=hashlib.sha256(text).hexdigest(),
        )  # fmt: skip
        row.file.save(f"{waiting.pk}/{row.pk}", ContentFile(text), save=False)
        row.save()

    # Those of one millisecond are listed in any order.
    shown = sorted(list(client.artifacts(str(waiting.pk)))[-3:], key=lambda each: each["size"], reverse=True)
    whole = BytesIO()

    assert [each["size"] for each in shown] == [10, 4, 0]
    assert client.download(shown[0]["id"], whole) == 10 and whole.getvalue() == b"0123456789"
    assert [client.download(each["id"], BytesIO()) for each in shown] == [10, 4, 0]
    first = shown[0]["id"]
    assert [client.content(first), client.content(first, start=7), client.content(first, start=2, end=5)] == [
        b"0123456789", b"789", b"234",
    ]  # fmt: skip
    with pytest.raises(Refused) as refused:
        client.content(str(waiting.pk))
    assert refused.value.kind == "not-found"


def test_the_rest_of_the_api_has_methods_of_its_own(client: Client) -> None:
    client.submit("support_reply", QUESTION, labels={"from": "batch"})

    assert "support_reply" in [each["kind"] for each in client.kinds()]
    assert client.kind("support_reply")["input_schema"]["type"] == "object"
    assert client.count_open({"label": {"from": "batch"}})["total"] == 1
    begun = client.cancel_all({"label": {"from": "batch"}}, reason="enough")
    assert (begun["total"], begun["task_reason"]) == (1, "enough") and client.cancellation(begun["id"]) == begun
    document = client.load_document("notes/a.md", "A lease holds for some seconds.", title="Leases", collection="notes")
    assert [each["id"] for each in client.documents(collection="notes")] == [document["id"]]
    client.delete_document(document["id"])
    assert list(client.documents()) == []


def test_what_is_remembered_has_methods(client: Client) -> None:
    fact = client.remember("Ada@example.test", "Pays by invoice.")
    assert client.remember("ada@example.test", "Pays by invoice.") == fact
    corrected = client.correct_memory(fact["id"], "Pays by card.")
    assert list(client.memories(about="ada@example.test")) == [corrected]
    assert len(list(client.memories(superseded=True))) == 2
    client.erase_memory(corrected["id"])
    client.remember("ada@example.test", "Has a cat.")
    assert client.erase_memories("ada@example.test") == 1 and list(client.memories()) == []


def test_files_and_schedules_have_methods(client: Client) -> None:
    uploaded = client.upload_document("notes/b.md", b"# Leases\n\nA lease holds.", collection="notes")
    assert (uploaded["state"], uploaded["media_type"]) == ("processing", "text/markdown")
    assert client.upload_document("notes/b.md", b"# Leases\n\nA lease holds.", collection="notes") == uploaded
    with pytest.raises(Refused) as refused:
        client.upload_document("notes/b.exe", b"MZ\0", media_type="application/x-msdownload")
    assert refused.value.status in (415, 422)

    schedule = client.make_schedule("Hourly", "support_reply", QUESTION, every_s=3600)
    run = client.run_schedule(schedule["id"])
    assert [each["id"] for each in client.schedules()] == [schedule["id"]]
    daily = client.change(f"schedules/{schedule['id']}", lambda found: {"every_s": found["every_s"] * 24})
    assert daily["every_s"] == 86_400
    assert client.get(str(run["task"]))["schedule"] == schedule["id"]


def test_a_conversation_has_methods(client: Client) -> None:
    task = client.submit("agent", {"instruction": "How long does a lease hold?"})
    first, again = (client.say(task["id"], "And a job?", idempotency_key="k") for _ in range(2))
    second = client.say(task["id"], "They wrote: no.", untrusted=True)

    assert first == again and (first["task"], first["number"], first["read_by_turn"]) == (task["id"], 1, None)
    assert list(client.messages(task["id"])) == [first, second] and second["untrusted"]


OF_THE_API = {
    "Task": of_tasks, "Notice": notices, "Job": of_tasks, "Artifact": of_tasks, "Cancellable": of_tasks,
    "BulkCancellation": of_tasks, "Approval": of_approvals, "ForkedTask": of_forks, "PastEvent": of_streams,
    "Document": of_documents, "Memory": of_memories, "Kind": of_kinds, "WholeKind": of_kinds,
    "Schedule": of_schedules, "ScheduleRun": of_schedules,
}  # fmt: skip


@pytest.mark.parametrize("name", OF_THE_API)
def test_the_shapes_have_exactly_the_fields_of_the_api(name: str) -> None:
    ours, theirs = getattr(shapes, name), getattr(OF_THE_API[name], name)

    assert set(typing.get_type_hints(ours)) == set(typing.get_type_hints(theirs))


def test_both_clients_have_the_same_methods() -> None:
    def methods(client: type) -> set[str]:
        return {name for name in vars(client) if not name.startswith("_")}

    assert methods(Client) == methods(AsyncClient)


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
