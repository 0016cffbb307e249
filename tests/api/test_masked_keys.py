"""Keys that may not see payloads: what they read is masked, and no way around it is open to them. [G6]"""

from __future__ import annotations

import pytest
from django.test import Client, override_settings

from agentapp.api import openapi
from agentapp.errors import InvalidInput, PermissionDenied
from agentapp.mcp_server import calls
from agentapp.mcp_server.catalogue import TOOLS
from agentapp.models import ApiKey, Approval, Tenant
from agentapp.policies import payload_fields
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys, people, principals
from agentapp.services.principals import Principal
from tests import harness
from tests.api import documented, operations
from tests.api.conftest import Api
from tests.api.test_operations import OUTSIDE

pytestmark = pytest.mark.django_db
SCOPES = [scope for scope in API_SCOPES if scope not in api_keys.NEED_PAYLOADS]
SECRET = "the customer's own words"


@pytest.fixture
def key(tenant: Tenant, other_tenant: Tenant) -> tuple[ApiKey, str]:
    return api_keys.create(tenant=tenant, name="blind", scopes=SCOPES, sees_payloads=False)


@pytest.fixture
def masked(key: tuple[ApiKey, str]) -> Api:
    return Api(key[1])


def test_tasks_jobs_and_approvals_are_masked(masked: Api, api: Api, principal: Principal) -> None:
    task = harness.run_workflow(principal, "sample_reply", {"subject": SECRET, "body": SECRET})
    approval = Approval.objects.get(workflow=task)

    shown = masked.get(f"/tasks/{task.pk}").json()
    assert shown["input"] == payload_fields.OBJECT and shown["state"] == "awaiting_approval"
    assert masked.get(f"/approvals/{approval.pk}").json()["content"] == payload_fields.OBJECT
    assert api.post(f"/tasks/{task.pk}/replies", operations.REPLY | {"text": SECRET}).status_code == 201
    of_task = [f"/tasks/{task.pk}{part}" for part in ("", "/jobs", "/events", "/replies")]
    for path in (*of_task, "/tasks", "/approvals"):
        answer = masked.get(path)
        assert answer.status_code == 200 and SECRET not in answer.content.decode(), path
        assert operations.REPLY["sender"] not in answer.content.decode(), path
    assert masked.get("/keys/self").json()["sees_payloads"] is False


def test_words_streams_artifacts_and_callbacks_are_no_way_around(
    masked: Api, api: Api, tenant: Tenant, principal: Principal
) -> None:
    with override_settings(**OUTSIDE):
        known = operations.records(api, tenant)
    task = harness.run_workflow(principal, "sample_reply", {"subject": "umbrella", "body": SECRET})
    harness.index()

    assert len(api.get("/tasks", q="umbrella").json()["results"]) == 1
    assert masked.get("/tasks", q="umbrella").json()["results"] == []
    assert len(masked.get("/tasks", q=str(task.pk)).json()["results"]) == 1
    assert masked.get(f"/tasks/{task.pk}/stream").status_code == 403
    assert masked.get("/stream").status_code == 403
    assert api.get(f"/artifacts/{known['artifact']}").status_code == 200
    assert masked.get(f"/artifacts/{known['artifact']}").status_code == 403
    assert masked.submit(callback_url="https://reader.example.org/").status_code == 403
    assert masked.submit().status_code == 202


def test_such_a_key_decides_nothing_and_stays_so_when_it_is_rotated(tenant: Tenant, key: tuple[ApiKey, str]) -> None:
    for scope in api_keys.NEED_PAYLOADS:
        with pytest.raises(InvalidInput, match="needs a key that sees payloads"):
            api_keys.create(tenant=tenant, name="blind", scopes=[scope], sees_payloads=False)

    new, _, old = api_keys.rotate(key[0], overlap_s=60, by="test")
    assert not new.sees_payloads and not old.sees_payloads


def test_tools_of_assistants_are_masked_too(key: tuple[ApiKey, str], principal: Principal) -> None:
    task = harness.run_workflow(principal, "sample_reply", {"subject": SECRET, "body": SECRET})
    blind = principals.of_key(key[0])

    def said(asking: Principal, name: str, **given: object) -> str:
        tool = TOOLS[name]
        return calls._as_seen(
            asking, tool, calls._run(tool, asking, calls._checked(tool, asking, given))
        ).model_dump_json()

    for name, given in (("get_task", {"task_id": str(task.pk)}), ("list_approvals", {})):
        assert SECRET in said(principal, name, **given)
        assert SECRET not in said(blind, name, **given)
    with pytest.raises(PermissionDenied):
        said(blind, "decide_approval")


def test_who_may_not_see_payloads_makes_and_rotates_no_key_that_does(tenant: Tenant, api_key: ApiKey) -> None:
    person = people.add(name="kim", tenant=tenant, role="administrator", sees_payloads=False)[0].user
    client = Client()
    client.force_login(person)
    form = {"tenant": tenant.slug, "name": "of kim", "scopes": ["tasks:read"]}

    assert client.post("/admin/agentapp/apikey/add/", form).status_code == 403
    assert client.post("/admin/agentapp/apikey/add/", form | {"payloads": "no"}).status_code == 200
    assert ApiKey.objects.get(name="of kim").sees_payloads is False
    page = f"/admin/agentapp/apikey/{api_key.pk}/change/"
    assert client.post(page, {"do": "rotate", "overlap_s": "0"}).status_code == 403


# Fields of answers that hold texts or open objects and are no payloads: names, ids and states; errors; what people and
# clients say about their work.
SHOWN = frozenset({
    "already_sent", "approval", "at", "before", "blocked_by", "by", "callback_url", "cause", "claimed_by",
    "claimed_until", "class", "content_sha256", "created_at", "cron", "deadline_at", "decided_at", "decided_by",
    "description", "disabled_reason", "error", "estimated_start_at", "events", "expires_at", "filter",
    "fingerprint", "finished_at", "held_until", "id", "input_schema", "instead_of", "job", "job_type", "kind",
    "labels", "media_type", "message", "message_id", "name", "next_step", "notices", "paused_reason", "policy",
    "priority", "queue", "reason", "refusal", "remedy", "retry_at", "risk", "run_at", "said_by", "scope",
    "secret", "sha256", "snoozed_until", "stage", "started_at", "started_by", "state", "task", "task_reason",
    "timezone", "title", "token", "told_by", "type", "undecidable", "url", "votes", "webhook_id", "worker",
    "written_by",
})  # fmt: skip


def test_each_free_field_of_an_answer_is_a_payload_or_was_said_to_be_none() -> None:
    """Else a new field is shown to keys that may not see payloads before anybody has thought of it."""
    document = openapi.current()
    found = {
        name
        for methods in document["paths"].values()
        for each in methods.values()
        if (scope := each.get("x-required-scope")) and not scope.startswith(payload_fields.WITHOUT)
        for status, answer in each["responses"].items() if status.startswith("2")
        for media in answer.get("content", {}).values()
        for name in documented.free_fields(media.get("schema", {"const": ""}), document)
    }  # fmt: skip
    for tool in TOOLS.values():
        if not tool.scopes or not all(scope.startswith(payload_fields.WITHOUT) for scope in tool.scopes):
            found |= {*documented.free_fields(tool.output_schema, tool.output_schema)}

    assert found - payload_fields.NAMES - {""} == SHOWN
