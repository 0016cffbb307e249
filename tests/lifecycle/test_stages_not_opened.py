"""A stage that cannot be opened is data: its task needs attention and says why; no move raises, no sweep stops. INV1"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from agentapp.dispatch import rescuer, sweep
from agentapp.errors import IllegalMove
from agentapp.lifecycle import fail, make_due
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Approval, Job, Tenant, Workflow
from agentapp.policies.content import canonical_sha256
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.runtime import runner
from agentapp.services import api_keys, approvals, dead_letters, reasons, workflows
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, histories_are_legal, path, run_workflow
from tests.lifecycle import crooked_kinds

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES = tuple(WORKER_CLASS_SCOPES)
CONTENT = {"to": "reader@sample.test", "subject": "probe", "body": "hello"}
ASKED = {"content": CONTENT, "sha256": canonical_sha256(CONTENT), "parts": [1]}


@pytest.fixture(autouse=True)
def crooked() -> Iterator[None]:
    with crooked_kinds.registered():
        yield


def said(principal: Principal, kind: str, **output: Any) -> Workflow:
    return run_workflow(principal, f"crooked_{kind}", {"output": output})


def letter_of(workflow: Workflow) -> Job:
    return Job.objects.get(workflow=workflow, state="dead_lettered")


@pytest.mark.parametrize(
    ("kind", "output", "sentence"),
    [
        ("fan", {"parts": None}, "must be a list but is null"),
        ("fan", {}, "crooked_say.parts, which must be a list but is missing"),
        ("fan", {"parts": {"a": 1}}, "must be a list but is object"),
        ("settled", {"parts": "many"}, "must be a list but is string"),
        ("sets", {"priority": -1}, "sets the priority to -1"),
        ("sets", {"priority": 99}, "sets the priority to 99"),
        ("sets", {"priority": "soon"}, "sets the priority to soon"),
        ("sets", {"priority": 1.5}, "sets the priority to 1.5"),
        ("sets", {"risk": "a very high risk"}, "it must be low, medium or high"),
        ("repeat", {"again": True}, "goes back to nowhere, which is no stage before it"),
        ("ask", {"content": None}, "has no content to decide on"),
        ("ask", {"content": CONTENT}, "has no hash of its content"),
        ("ask", ASKED | {"risk": "unbearably high"}, "has the risk unbearably high"),
        ("ask", ASKED | {"expires_in_s": "soon"}, "expires in soon seconds"),
        ("ask", ASKED | {"expires_in_s": 1e300}, "at most ten years"),
    ],
)
def test_the_task_needs_attention_and_a_dead_letter_says_why(
    principal: Principal, kind: str, output: dict[str, Any], sentence: str
) -> None:
    workflow = said(principal, kind, **output)

    assert workflow.state == "needs_attention"
    letter = letter_of(workflow)
    assert sentence in (letter.error or {})["message"]
    (reason,) = reasons.blocked_by([workflow])[workflow.pk]
    assert (reason["type"], reason["id"]) == ("dead_letter", str(letter.pk)) and sentence in reason["error"]
    assert workflow.jobs_total == Job.objects.filter(workflow=workflow).count()
    assert histories_are_legal()


@pytest.mark.parametrize(
    ("output", "priority", "risk"),
    [
        ({"priority": None, "risk": None}, 2, "low"),
        ({"priority": 0, "risk": "high"}, 0, "high"),
        ({"priority": 3}, 2, "low"),
    ],
)
def test_what_may_be_set_is_set(principal: Principal, output: dict[str, Any], priority: int, risk: str) -> None:
    workflow = said(principal, "sets", **output)

    assert (workflow.state, workflow.priority, workflow.risk) == ("completed", priority, risk)


def test_a_repeat_on_an_odd_output_goes_on(principal: Principal) -> None:
    assert said(principal, "repeat", again="perhaps").state == "completed"


def test_more_parts_than_may_be_are_refused_in_words(principal: Principal, settings: Any) -> None:
    settings.AGENTAPP_FAN_OUT_MAX_PARTS = 3
    assert said(principal, "fan", parts=[1, 2, 3]).state == "completed"

    workflow = said(principal, "fan", parts=[1, 2, 3, 4])

    assert "into 4 parts; at most 3 may be" in (letter_of(workflow).error or {})["message"]


@pytest.mark.parametrize(("kind", "output"), [("long", {"long": "x" * 5_000}), ("fan", {"parts": ["x" * 5_000]})])
def test_a_payload_that_is_too_large_is_refused_in_words(
    principal: Principal, settings: Any, kind: str, output: dict[str, Any]
) -> None:
    settings.AGENTAPP_MAX_PAYLOAD_BYTES = 4_000
    settings.AGENTAPP_MAX_INPUT_BYTES = 10_000
    # The first job's own payload is as long: its stage says that it may be.
    run = workflows.submit(principal, kind=f"crooked_{kind}", input={"output": {}})
    Job.objects.filter(workflow=run, state="available").update(payload={"output": output})
    drain(run)

    assert "at most 4000 may be" in (letter_of(run).error or {})["message"]


def test_an_output_that_is_too_large_is_a_dead_letter_at_once(principal: Principal, settings: Any) -> None:
    settings.AGENTAPP_MAX_OUTPUT_BYTES = 1_000

    workflow = said(principal, "fan", parts=["x" * 2_000])

    letter = letter_of(workflow)
    assert (letter.type, letter.attempt) == ("crooked_say", 1)
    assert "at most 1000 may be" in (letter.error or {})["message"]


def test_a_person_replays_from_an_earlier_stage(principal: Principal) -> None:
    workflow = said(principal, "fan", parts=None)
    letter = letter_of(workflow)
    assert dead_letters.stages_before(letter) == ["crooked_say", "crooked_part"]
    dead_letters.replay(principal, letter.pk, from_stage="crooked_say")
    Job.objects.filter(workflow=workflow, state="available").update(payload={"output": {"parts": [1, 2]}})
    drain(workflow)

    workflow.refresh_from_db()
    assert (workflow.state, workflow.result) == ("completed", {"count": 2})
    assert workflow.jobs_total == workflow.jobs_done == 5
    assert histories_are_legal()


@pytest.mark.parametrize("kind", ["fan", "settled"])
def test_a_person_gives_the_part_a_payload_or_its_output(principal: Principal, kind: str) -> None:
    replayed, resolved = said(principal, kind, parts=None), said(principal, kind, parts=None)

    dead_letters.replay(principal, letter_of(replayed).pk, payload={"n": 7})
    dead_letters.resolve(principal, letter_of(resolved).pk, output={"n": 7}, reason="by hand")

    for workflow in (replayed, resolved):
        drain(workflow)
        workflow.refresh_from_db()
        assert (workflow.state, workflow.result) == ("completed", {"count": 1})
    assert histories_are_legal()


def test_a_decision_that_was_not_opened_cannot_be_made_up(principal: Principal) -> None:
    workflow = said(principal, "ask", content=None)
    letter = letter_of(workflow)

    with pytest.raises(IllegalMove, match="Replay the task from an earlier stage"):
        dead_letters.replay(principal, letter.pk)
    with pytest.raises(IllegalMove, match="Replay the task from an earlier stage"):
        dead_letters.resolve(principal, letter.pk, output={"decision": "approved"}, reason="let it go")

    assert workflows.cancel(principal, workflow.pk, reason="enough").state == "cancelled"
    assert histories_are_legal()


@pytest.mark.parametrize(("kind", "output"), [("ask", {"content": None}), ("fan", {"parts": None})])
def test_people_and_clients_see_it(
    principal: Principal, tenant: Tenant, admin_client: Client, kind: str, output: dict[str, Any]
) -> None:
    workflow = said(principal, kind, **output)
    letter = letter_of(workflow)
    _, token = api_keys.create(tenant=tenant, name="test", scopes=["tasks:read", "dead_letters:write"])
    headers = {"Authorization": f"Bearer {token}"}

    pages = [
        admin_client.get(f"/admin/agentapp/deadletter/{letter.pk}/change/"),
        admin_client.get("/admin/agentapp/deadletter/"),
        admin_client.get(f"/admin/agentapp/workflow/{workflow.pk}/change/"),
    ]
    answers = [
        admin_client.get(f"/tasks/{workflow.pk}", headers=headers),
        admin_client.get("/dead-letters", headers=headers),
    ]

    assert [page.status_code for page in pages + answers] == [200] * 5
    told = (letter.error or {})["message"]
    assert told and all(told in str(answer.json()) for answer in answers)
    assert told in html.unescape(pages[0].content.decode())


def test_a_decision_is_recorded_though_the_stage_behind_it_cannot_be_opened(principal: Principal) -> None:
    workflow = said(principal, "ask", **(ASKED | {"parts": None}))
    approval = Approval.objects.get(workflow=workflow)

    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)

    workflow.refresh_from_db()
    approval.refresh_from_db()
    assert (approval.state, workflow.state) == ("approved", "needs_attention")


def test_changes_that_cannot_be_made_are_refused_before_anything_is_written(principal: Principal) -> None:
    workflow = said(principal, "ask", **ASKED)
    approval = Approval.objects.get(workflow=workflow)

    with pytest.raises(IllegalMove, match="cannot go back to nowhere"):
        approvals.decide(
            principal, approval.pk, decision="request_changes", content_sha256=approval.content_sha256, reason="shorter"
        )

    approval.refresh_from_db()
    assert approval.state == "pending"


def test_an_input_that_opens_no_first_stage_is_a_422(tenant: Tenant, client: Client) -> None:
    _, token = api_keys.create(tenant=tenant, name="test", scopes=["tasks:write"])

    answer = client.post(
        "/tasks", {"kind": "crooked_first", "input": {"output": {"parts": None}}}, content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip

    assert answer.status_code == 422
    assert "must be a list but is null" in answer.content.decode()
    assert not Workflow.objects.exists()


def begun(principal: Principal, kind: str, **output: Any) -> Claimed:
    run = workflows.submit(principal, kind=f"crooked_{kind}", input={"output": output})
    claimed = claim(str(Job.objects.get(workflow=run, state="available").pk), worker="w", queues=QUEUES, lease_s=60)
    assert isinstance(claimed, Claimed)
    return claimed


def test_a_failure_is_recorded_though_the_stage_behind_it_cannot_be_opened(principal: Principal) -> None:
    """The last part of a join that does not need it fails for good."""
    part = begun(principal, "settled_then_fan", first=[1], second=None)

    fail.dead_letter(part, error={"class": "Refused", "message": "no"}, reason="no", worker="w")

    assert path(Job.objects.get(pk=part.id)) == "available > running > dead_lettered"
    assert Workflow.objects.get(pk=part.workflow_id).state == "needs_attention"
    assert histories_are_legal()


def test_a_rescue_goes_on_with_those_of_other_tenants(principal: Principal, other_principal: Principal) -> None:
    """The last part of a join is lost for the last time, and what it opens cannot be opened."""
    first = begun(principal, "settled_then_fan", first=[1], second=None)
    other = begun(other_principal, "fan", parts=[])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentapp_job SET lease_expires_at = clock_timestamp() - interval '1 second', attempt = max_attempts"
            " WHERE state = 'running'"
        )

    assert rescuer.Watch(believes_at_once=True).rescue_expired() == 2

    states = {run.pk: run.state for run in Workflow.objects.all()}
    assert states == {first.workflow_id: "needs_attention", other.workflow_id: "needs_attention"}
    assert path(Job.objects.get(workflow=first.workflow_id, stage__position=2)) == "dead_lettered"
    assert sweep.bad_items() == {}
    assert histories_are_legal()


def test_a_claim_that_is_denied_and_opens_what_cannot_be_opened_is_an_answer(
    principal: Principal, tenant: Tenant
) -> None:
    run = workflows.submit(principal, kind="crooked_settled_then_fan", input={"output": {"first": [1], "second": 5}})
    job = Job.objects.get(workflow=run, state="available")
    tenant.suspended_at = job.available_at
    tenant.save()

    assert claim(str(job.pk), worker="w", queues=QUEUES, lease_s=60) == Refused("permission")

    run.refresh_from_db()
    assert run.state == "needs_attention"


def test_what_nobody_foresaw_is_data_too(principal: Principal) -> None:
    """A plan as an older release, or a mistake, has written it."""
    run = workflows.submit(principal, kind="crooked_fan", input={"output": {"parts": [1]}})
    stage = run.stages.get(name="crooked_part")
    stage.spec |= {"timeout_s": "soon"}
    stage.save()
    be_a_worker()

    assert runner.run(str(Job.objects.get(workflow=run, state="available").pk)).word == "completed"

    run.refresh_from_db()
    assert run.state == "needs_attention"
    assert make_due.due() == []
