"""What models and tools were asked and answered, on the pages of a task and of a call, for who may see payloads."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from agentapp import clock
from agentapp.models import Artifact, Job, ModelCall, Tenant
from agentapp.services import people
from tests.admin.conftest import Start

pytestmark = pytest.mark.django_db
HOSTILE = "<script>window.hacked = 1</script>\u202e"
ESCAPED = "&lt;script&gt;window.hacked = 1&lt;/script&gt;"


@pytest.fixture
def call(start: Start, tenant: Tenant) -> ModelCall:
    job = Job.objects.filter(workflow=start(), type="sample_draft").get()
    Artifact.objects.create(
        tenant=tenant, workflow_id=job.workflow_id, job_id=job.pk, name=f"{HOSTILE[:-1]}.txt", size=1, file="a",
        sha256="0" * 64, created_at=clock.now(),
    )  # fmt: skip
    Job.objects.filter(workflow=job.workflow_id, type="sample_lookup").update(
        type="run_tool", tool="search", payload={"call": {"tool": "search", "arguments": {"query": HOSTILE}}},
        output={"status": "ok", "text": f"found {HOSTILE}"},
    )  # fmt: skip
    exchange = {
        "messages": [{"role": "system", "text": "Be kind."}, {"role": "user", "text": f"asked {HOSTILE}", "cut": 7}],
        "reply": {
            "role": "assistant", "text": f"answered {HOSTILE}", "finish_reason": "stop",
            "calls": [{"name": "search", "arguments": HOSTILE}],
        },
    }  # fmt: skip
    return ModelCall.objects.create(
        tenant=tenant, workflow_id=job.workflow_id, job_id=job.pk, attempt=1, model="m", latency_s=1.0,
        exchange=exchange, started_at=clock.now(),
    )  # fmt: skip


def signed_in(tenant: Tenant, role: str) -> Client:
    client = Client()
    client.force_login(people.add(name=role, tenant=tenant, role=role)[0].user)
    return client


def pages(client: Client, call: ModelCall) -> tuple[str, str]:
    """The page of the call, and that of its task."""
    names = (("modelcall", call.pk), ("workflow", call.workflow_id))
    found = [client.get(reverse(f"admin:agentapp_{name}_change", args=(pk,))) for name, pk in names]
    assert [page.status_code for page in found] == [200, 200]
    return found[0].content.decode(), found[1].content.decode()


def test_who_may_see_payloads_reads_prompt_answer_and_tool_calls(call: ModelCall, tenant: Tenant) -> None:
    page, task = pages(signed_in(tenant, "administrator"), call)

    assert f"asked {ESCAPED}" in page and f"answered {ESCAPED}" in page and "7 more were not kept" in page
    assert "Be kind." in page and f"{ESCAPED}.txt" in page and "sample_draft" in page
    assert task.count(f"found {ESCAPED}") >= 3 and "Tool calls" in task and "prompt and answer" in task
    assert "<script>window" not in page + task and "\u202e" not in page


def test_who_may_not_reads_that_they_are_masked(call: ModelCall, tenant: Tenant) -> None:
    page, task = pages(signed_in(tenant, "viewer"), call)

    assert "hacked" not in page and "This page is masked" in page
    tools = task[task.index('id="tool-calls"') :].partition("</section>")[0]
    assert "hacked" not in tools and "masked" in tools and "search" in tools


def test_a_call_of_which_nothing_was_kept_says_so(call: ModelCall, tenant: Tenant) -> None:
    ModelCall.objects.update(exchange=None)

    page, _ = pages(signed_in(tenant, "administrator"), call)

    assert "were not kept" in page


@pytest.mark.parametrize("payload", [None, [], {"call": 5}, {"call": {"arguments": "a"}}])
@pytest.mark.parametrize("output", [None, "a", [1], {}, {"text": 5, "text_id": "no id"}])
def test_a_tool_call_that_a_person_has_typed_is_shown(
    call: ModelCall, tenant: Tenant, payload: object, output: object
) -> None:
    Job.objects.filter(type="run_tool").update(payload=payload, output=output)

    assert "Tool calls" in pages(signed_in(tenant, "administrator"), call)[1]
