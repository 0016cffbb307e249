"""How to ask each operation of the OpenAPI document: which record its address names, and what it is sent.

An operation without a row here fails the tests of isolation and of answers: add one, and where its address names a
record of a new noun, make one of it in `records`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.core.files.base import ContentFile

from agentapp import models
from agentapp.api import openapi
from agentapp.models import ModelChoice, ToolServer
from agentapp.policies.content import canonical_sha256
from tests import harness
from tests.admin import kinds as kinds  # registers sample_reply
from tests.api.conftest import Api

# Stands in the records of one tenant, and must not be found in what another is told.
SECRET = "unspoken"
URL = "https://127.0.0.1:9/hook"
TEXT = "# Hours\n\nThe office is open from nine to five on all days but Sunday.\n"


@dataclass(frozen=True)
class Row:
    """`ids` says which record stands for a parameter of the address, `bodies` what is sent, one request each, or
    `queries`. `absent` are the ids that nobody has; others than UUIDs."""

    ids: dict[str, str] = field(default_factory=dict)
    bodies: tuple[Any, ...] = (None,)
    queries: tuple[str, ...] = ("",)
    headers: dict[str, str] = field(default_factory=dict)
    absent: str = ""
    # Of these documented answers this one is not made by an ordinary request; its own test shows it.
    elsewhere: frozenset[str] = frozenset()
    # The same for all tenants.
    is_shared: bool = False


TASK, LETTER, CHOICE = {"task_id": "task"}, {"job_id": "letter"}, {"choice_id": "choice"}
BULK, APPROVAL, POLICY = {"bulk_id": "bulk"}, {"approval_id": "approval"}, {"policy_id": "policy"}
SERVER, SERVER_TOOL = {"server_id": "server"}, {"server_id": "server", "tool_id": "server_tool"}
GATE, KEY = {"gate_id": "gate"}, {"scope": "scope", "name": "name"}
ENDPOINT, DELIVERY = {"endpoint_id": "endpoint"}, {"delivery_id": "delivery"}
CANCELLED, CANCELLATION = {"filter": {"kind": ["sample_reply"]}}, {"cancellation_id": "cancellation"}
REASON = ({"reason": "a test"},)
SUBMITTED = {"kind": "probe_fan", "input": {"text": "a", "parts": [1]}}
SCHEDULED = {"name": "new", "kind": "probe_fan", "input": {"text": "a", "parts": [1]}, "cron": "0 8 * * *"}
SCHEDULE = {"schedule_id": "schedule"}
LOADED = {"source": "new.md", "title": "T", "text": TEXT}
REPLY = {"message_id": "<1@reader.test>", "sender": "reader@example.org", "text": "Thanks."}
ABOUT = "ada@example.test"
FACT = {"about": ABOUT, "text": "Pays by invoice."}
MEMORY = {"memory_id": "memory"}
CONTENT = {"to": "a@b.test", "subject": "s", "body": "b"}
OUTPUT = {"content": CONTENT, "content_sha256": canonical_sha256(CONTENT), "sources": [], "evaluation": {}}
DECIDED = {"decision": "request_changes", "content_sha256": "0" * 64, "reason": "shorter"}

ROWS: dict[str, Row] = {
    "list_tasks": Row(queries=("", "?q=unspoken", "?label=a:b", "?limit=1")),
    "submit_task": Row(bodies=(SUBMITTED,)),
    "get_task": Row(TASK, elsewhere=frozenset({"304"})),
    "list_task_jobs": Row(TASK),
    "list_task_events": Row(TASK, queries=("", "?last_event_id=2&limit=1")),
    "cancel_task": Row(TASK, REASON),
    "fork_task": Row(TASK, ({"from_stage": "sample_draft"},)),
    "list_task_messages": Row(TASK),
    "list_task_replies": Row(TASK),
    "record_reply": Row(TASK, (REPLY, REPLY)),
    # This task is no conversation: tests/api/test_messages.py.
    "send_message": Row(TASK, ({"text": "Hello."},), elsewhere=frozenset({"202"})),
    "get_job": Row({"job_id": "job"}),
    "list_approvals": Row(queries=("", "?state=pending")),
    "get_approval": Row(APPROVAL),
    "decide_approval": Row(APPROVAL, (DECIDED,)),
    "claim_approval": Row(APPROVAL, ({}, {"take_over": True})),
    "release_approval": Row(APPROVAL),
    "snooze_approval": Row(APPROVAL, ({"until": None},)),
    "withdraw_approval": Row(APPROVAL, ({},), elsewhere=frozenset({"200"})),
    "list_documents": Row(),
    "load_document": Row(bodies=(LOADED, LOADED), elsewhere=frozenset({"202"})),
    "list_memories": Row(queries=("", f"?about={ABOUT}", "?superseded=true")),
    "write_memory": Row(bodies=(FACT, FACT)),
    "erase_memories": Row(bodies=({"about": ABOUT},)),
    "get_memory": Row(MEMORY),
    "correct_memory": Row(MEMORY, ({"text": "Has moved."},)),
    "erase_memory": Row(MEMORY),
    "list_dead_letters": Row(queries=("", "?type=sample_draft")),
    "list_dead_letter_groups": Row(),
    "start_dead_letter_replay": Row(bodies=({"type": "sample_draft"},)),
    "replay_dead_letter": Row(LETTER, ({},)),
    "resolve_dead_letter": Row(LETTER, ({"output": OUTPUT, "reason": "a test"},)),
    "cancel_dead_letter": Row(LETTER, REASON),
    "notify_of_dead_letter": Row(LETTER, ({"text": "Soon."}, {"text": "Soon."})),
    "list_dead_letter_replays": Row(),
    "get_dead_letter_replay": Row(BULK),
    "abort_dead_letter_replay": Row(BULK, REASON),
    "list_gates": Row(),
    "make_gate": Row(bodies=({"scope": "model", "pattern": "m", "concurrency": 3},)),
    "get_gate": Row(GATE, absent="9007199254740993", elsewhere=frozenset({"304"})),
    "change_gate": Row(GATE, ({"concurrency": 4},), absent="9007199254740993"),
    "delete_gate": Row(GATE, absent="9007199254740993"),
    "list_gate_changes": Row(),
    "list_approval_policies": Row(),
    "make_approval_policy": Row(bodies=({"name": "two", "kind": "sample_*", "quorum": 2},)),
    "get_approval_policy": Row(POLICY, absent="9007199254740993", elsewhere=frozenset({"304"})),
    "replace_approval_policy": Row(POLICY, ({"name": "b", "note": "a"},), absent="9007199254740993"),
    "change_approval_policy": Row(POLICY, ({"quorum": 2},), absent="9007199254740993"),
    "delete_approval_policy": Row(POLICY, absent="9007199254740993"),
    "list_model_choices": Row(),
    "make_model_choice": Row(bodies=({"job_type": "generate_draft", "model": "m"},)),
    "get_model_choice": Row(CHOICE, absent="9007199254740993", elsewhere=frozenset({"304"})),
    "replace_model_choice": Row(CHOICE, ({"model": "m", "note": "a"},), absent="9007199254740993"),
    "change_model_choice": Row(CHOICE, ({"temperature": 0.5},), absent="9007199254740993"),
    "delete_model_choice": Row(CHOICE, absent="9007199254740993"),
    "list_tool_servers": Row(),
    "make_tool_server": Row(bodies=({"tenant": "sample", "name": "shop", "url": "https://8.8.8.8/mcp"},)),
    "get_tool_server": Row(SERVER, absent="9007199254740993", elsewhere=frozenset({"304"})),
    "change_tool_server": Row(SERVER, ({"asks_when_tainted": False},), absent="9007199254740993"),
    "delete_tool_server": Row(SERVER, absent="9007199254740993"),
    "refresh_tool_server": Row(SERVER, absent="9007199254740993"),
    "list_server_tools": Row(SERVER, absent="9007199254740993"),
    "get_server_tool": Row(SERVER_TOOL, absent="9007199254740993"),
    "decide_server_tool": Row(SERVER_TOOL, ({"access": "read", "sha256": "0" * 64},), absent="9007199254740993"),
    "list_limits": Row(),
    "pause_key": Row(KEY, REASON, absent="x"),
    "drain_key": Row(KEY, REASON, absent="x"),
    "resume_key": Row(KEY, REASON, absent="x"),
    "list_queues": Row(),
    "get_schema": Row(elsewhere=frozenset({"304"})),
    "get_own_key": Row(is_shared=True),
    "rotate_own_key": Row(bodies=({},), is_shared=True),
    "cancel_tasks": Row(bodies=(CANCELLED, CANCELLED | {"dry_run": True})),
    "list_task_cancellations": Row(),
    "get_task_cancellation": Row(CANCELLATION),
    "abort_task_cancellation": Row(CANCELLATION, REASON),
    "stream_tasks": Row(elsewhere=frozenset({"200"})),
    "list_kinds": Row(),
    "get_kind": Row({"kind": "kind"}, absent="nothing", is_shared=True),
    "list_task_artifacts": Row(TASK),
    "get_artifact": Row({"artifact_id": "artifact"}, elsewhere=frozenset({"206", "304"})),
    "get_document": Row({"document_id": "document"}),
    "delete_document": Row({"document_id": "document"}),
    "replace_gate": Row(GATE, ({"scope": "global", "concurrency": 5},), absent="9007199254740993"),
    # Only an ASGI server answers with a stream: tests/streams.
    "stream_task": Row(TASK, elsewhere=frozenset({"200"})),
    "open_task_socket": Row(TASK, elsewhere=frozenset({"101"})),
    "make_stream_token": Row(bodies=({},)),
    "list_webhook_endpoints": Row(),
    "make_webhook_endpoint": Row(bodies=({"url": URL},)),
    "get_webhook_endpoint": Row(ENDPOINT, elsewhere=frozenset({"304"})),
    "change_webhook_endpoint": Row(ENDPOINT, ({"description": "d"},)),
    "delete_webhook_endpoint": Row(ENDPOINT),
    "rotate_webhook_secret": Row(ENDPOINT),
    "test_webhook_endpoint": Row(ENDPOINT),
    "get_callback_secret": Row(),
    "list_webhook_endpoint_deliveries": Row(ENDPOINT),
    "list_webhook_deliveries": Row(),
    "get_webhook_delivery": Row(DELIVERY),
    "resend_webhook_delivery": Row(DELIVERY),
    "list_schedules": Row(),
    "make_schedule": Row(bodies=(SCHEDULED,)),
    "get_schedule": Row(SCHEDULE, elsewhere=frozenset({"304"})),
    "change_schedule": Row(SCHEDULE, ({"is_paused": True},)),
    "delete_schedule": Row(SCHEDULE),
    "run_schedule": Row(SCHEDULE),
    "list_schedule_runs": Row(SCHEDULE),
    "list_problems": Row(),
    "get_problem": Row({"slug": "slug"}, absent="nothing"),
    "check_health": Row(),
    "check_readiness": Row(),
}


@dataclass(frozen=True)
class Documented:
    """An operation of the document."""

    id: str
    method: str
    path: str
    scopes: tuple[str, ...]
    is_open: bool
    statuses: frozenset[str]

    @property
    def row(self) -> Row:
        assert self.id in ROWS, f"Say in tests/api/operations.py how {self.id} is asked."
        return ROWS[self.id]

    @property
    def names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)


def documented() -> list[Documented]:
    """Return all operations of the document."""
    return [
        Documented(
            found["operationId"], method.upper(), path, tuple(found["security"][0].get("Bearer", ())),
            found["security"] == [{}],
            frozenset(status for status in found["responses"] if status < "400"),
        )
        for path, methods in openapi.current()["paths"].items()
        for method, found in methods.items()
    ]  # fmt: skip


def records(api: Api, tenant: models.Tenant) -> dict[str, str]:
    """Give a tenant one record of each noun, which holds the secret word; return their ids."""
    assert api.post("/tasks", {"kind": "sample_reply", "input": {"subject": SECRET}}).status_code == 202
    assert api.post("/tasks", {"kind": "sample_reply", "input": {"body": f"{SECRET}: impossible"}}).status_code == 202
    harness.drain()
    moment = models.Workflow.objects.filter(tenant=tenant).earliest("id").created_at
    models.Document.objects.create(
        tenant=tenant, source=f"{SECRET}.md", title="A", sha256="0" * 64, size=9, created_at=moment, updated_at=moment
    )
    job = models.Job.objects.filter(tenant=tenant).earliest("id")
    artifact = models.Artifact(
        tenant=tenant, workflow_id=job.workflow_id, job_id=job.pk, name="a.txt", media_type="text/plain", size=1,
        sha256=hashlib.sha256(b"a").hexdigest(), created_at=moment,
    )  # fmt: skip
    artifact.file.save("a.txt", ContentFile(b"a"))
    endpoint = api.post("/webhook-endpoints", {"url": URL, "description": SECRET}).json()
    delivery = api.post(f"/webhook-endpoints/{endpoint['id']}/test").json()
    bulk = api.post("/dead-letters/replay", {"type": "sample_draft"}).json()
    cancellation = api.post("/tasks/cancel", {"filter": {"kind": [SECRET]}}).json()
    schedule = api.post("/schedules", SCHEDULED | {"name": SECRET}).json()
    memory = api.post("/memories", {"about": ABOUT, "text": f"Said: {SECRET}."}).json()
    gate, _ = models.Gate.objects.get_or_create(scope="global", pattern="global", defaults={"concurrency": 9})
    policy, _ = models.ApprovalPolicy.objects.get_or_create(tenant=None, kind="", defaults={"name": "one"})
    choice, _ = ModelChoice.objects.get_or_create(tenant=None, job_type="", defaults={"model": "m", "limit_name": "m"})
    server, _ = ToolServer.objects.get_or_create(tenant=tenant, name="tools", defaults={"url": "https://8.8.8.8/mcp"})
    tool, _ = models.ServerTool.objects.get_or_create(
        server=server, offered_name="tools__a", defaults={"name": "a", "schema": {"type": "object"}, "sha256": "0" * 64}
    )  # fmt: skip
    return {
        "task": str(models.Workflow.objects.filter(tenant=tenant).earliest("id").pk),
        "job": str(models.Job.objects.filter(tenant=tenant).earliest("id").pk),
        "letter": str(models.Job.objects.get(tenant=tenant, state="dead_lettered").pk),
        "approval": str(models.Approval.objects.get(tenant=tenant).pk),
        "bulk": bulk["id"],
        "cancellation": cancellation["id"],
        "artifact": str(artifact.pk),
        "document": str(models.Document.objects.get(tenant=tenant).pk),
        "memory": memory["id"],
        "endpoint": endpoint["id"],
        "delivery": delivery["id"],
        "schedule": schedule["id"],
        "gate": str(gate.pk),
        "choice": str(choice.pk),
        "policy": str(policy.pk),
        "server": str(server.pk),
        "server_tool": str(tool.pk),
        "scope": "tenant",
        "name": tenant.slug,
        "slug": "not-found",
        "kind": "support_reply",
    }


def prepare(operation: Documented, api: Api, known: dict[str, str]) -> None:
    """Make the records such that an operation can succeed."""
    if operation.id == "decide_approval":
        shown = api.get(f"/approvals/{known['approval']}").json()
        operation.row.bodies[0]["content_sha256"] = shown["content_sha256"]
    if operation.id == "resume_key":
        api.post(f"/limits/tenant/{known['name']}/pause", {"reason": "a test"})
    if operation.id == "start_dead_letter_replay":
        api.post(f"/dead-letter-replays/{known['bulk']}/abort", {"reason": "a test"})


def address(operation: Documented, known: dict[str, str]) -> str:
    """Return the path to what is known by its noun."""
    return operation.path.format(**{name: known[operation.row.ids[name]] for name in operation.names})


def absent(operation: Documented, known: dict[str, str]) -> str:
    """Return the path to what nobody has."""
    last = operation.names[-1]
    nobody = operation.row.absent or str(uuid4())
    return address(operation, known | {operation.row.ids[last]: nobody})


def ask(api: Api, operation: Documented, path: str, *, number: int = 0, query: str = "") -> Any:
    """Send the request of this number."""
    body = operation.row.bodies[number]
    if operation.method == "GET":
        return api.client.get(path + query, headers=api.headers | operation.row.headers)
    if operation.method == "DELETE":
        return api.delete(path)
    send = {"PUT": api.put, "PATCH": api.patch}.get(operation.method, api.post)
    return send(path, body) if body is not None else api.post(path)
