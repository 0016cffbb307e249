"""Details of lists: why tasks wait, drills, gates that hold for nothing, many tasks cancelled, reasons of replays."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.lifecycle import gates as moves
from agentapp.models import (
    Approval,
    Artifact,
    BulkCancellation,
    Effect,
    History,
    Job,
    Limit,
    Membership,
    ModelCall,
    Tenant,
    Workflow,
)
from agentapp.models.tenant import DRILL
from agentapp.services import bulk_replays, gates, letter_groups, workflows
from agentapp.services import operations as state
from agentapp.services.principals import Principal
from agentapp.states import KeyMode

pytestmark = pytest.mark.django_db

TASKS, CANCEL = "/admin/agentapp/workflow/", "/admin/agentapp/bulkcancellation/add/"
OPERATOR = Principal(frozenset({"gates:read"}), None)


def test_the_list_says_why_each_task_waits(member: Client, principal: Principal, waiting: Approval, dead: Job) -> None:
    moves.know(["job_type:sample_lookup"])
    moves.set_mode("job_type:sample_lookup", KeyMode.PAUSED, actor="user:anna", reason="too slow")
    workflows.submit(principal, kind="sample_reply", input={})

    page = member.get(TASKS).content.decode()

    assert "A person must decide" in page
    assert "A job is a dead letter: replay it or cancel the task." in page
    assert "Job type sample_lookup is paused: no job starts. By anna" in page


def test_what_belongs_to_the_drill_is_hidden_unless_asked_for(
    operator: Client, principal: Principal, dead: Job
) -> None:
    workflows.submit(principal, kind="sample_reply", input={})
    Tenant.objects.filter(pk=dead.tenant_id).update(slug=DRILL)
    Job.objects.filter(state="available").update(state="running")

    for path, shown in ((TASKS, str(dead.workflow_id)), ("/admin/agentapp/deadletter/", str(dead.pk))):
        assert shown not in operator.get(path).content.decode()
        assert shown in operator.get(f"{path}?drill=1").content.decode()
        assert shown in operator.get(f"{path}?tenant={DRILL}").content.decode()
    assert gates.running(OPERATOR) and not gates.running(OPERATOR, with_drill=False)
    Job.objects.filter(state="running").update(state="available")
    name = next(iter(state.drilled()))
    Limit.objects.update_or_create(key=f"queue:{name}", defaults={"scope": "queue", "name": name, "waiting": 5})
    waiting = {each.name: each.waiting for each in state.queues(OPERATOR, {}, apart=state.drilled())}
    assert waiting[name] == 5 - state.drilled()[name]


def test_no_list_shows_what_the_drill_has_left_unless_it_is_asked_for(
    operator: Client, principal: Principal, waiting: Approval, dead: Job, in_doubt: Job
) -> None:
    tenant = waiting.tenant
    call = ModelCall.objects.create(tenant=tenant, model="m", latency_s=1, started_at=waiting.created_at)
    artifact = Artifact.objects.create(tenant=tenant, name="a", file="a", size=1, sha256="", created_at=call.started_at)
    bulk = bulk_replays.start(principal, type=dead.type)
    Tenant.objects.filter(pk=tenant.pk).update(slug=DRILL)

    for row in (waiting, Effect.objects.get(), call, artifact, bulk):
        path = reverse(f"admin:agentapp_{type(row).__name__.lower()}_changelist")
        assert f"/{row.pk}/change/" not in operator.get(path).content.decode(), path
        assert f"/{row.pk}/change/" in operator.get(f"{path}?drill=1").content.decode(), path
    assert "0 approvals waiting" in operator.get("/admin/agentapp/approval/").content.decode()


def test_long_texts_of_lists_are_cut_with_the_whole_behind_them(member: Client, waiting: Approval, dead: Job) -> None:
    address = f"{'a' * 64}@{'b' * 61}.test"
    Approval.objects.update(content=waiting.content | {"to": address})

    for path, shown in (("approval", address), ("deadletter", str((dead.error or {})["message"])),
                        ("workflow", "A person must decide")):  # fmt: skip
        assert f'<span class="cut" title="{shown}' in member.get(f"/admin/agentapp/{path}/").content.decode(), path


def test_a_gate_that_holds_for_nothing_is_warned_of(operator: Client) -> None:
    def saved(pattern: str) -> str:
        form = {"scope": "job_type", "pattern": pattern, "concurrency": "3"}
        return operator.post("/admin/agentapp/gate/add/", form, follow=True).content.decode()

    assert "Nothing that is known so far fits it" in saved("sampel_*")
    assert "Nothing that is known so far fits it" not in saved("sample_d*")


def test_many_tasks_are_looked_at_and_cancelled(member: Client, principal: Principal, waiting: Approval) -> None:
    workflows.submit(principal, kind="sample_reply", input={"subject": "Stays"}, labels={"from": "mail"})
    assert "Cancel many" in member.get(TASKS).content.decode()
    asked = {"state": "awaiting_approval", "kind": "sample_reply", "reason": "a wrong price list"}

    looked = member.post(CANCEL, asked | {"do": "look"}).content.decode()
    assert "1 open task fits now" in looked and "Stays" not in looked
    seen = '["", "awaiting_approval", "sample_reply", "", ""]'
    other = member.post(CANCEL, asked | {"do": "cancel", "seen": seen, "state": "pending"})
    assert other.status_code == 409 and not BulkCancellation.objects.exists()
    assert member.post(CANCEL, asked | {"do": "cancel", "seen": seen}).status_code == 302

    row = BulkCancellation.objects.get()
    assert (row.waiting, row.task_reason) == ([str(waiting.workflow_id)], "a wrong price list")
    assert member.post(CANCEL, {"do": "look"}).status_code == 422


def test_a_label_that_could_be_two_is_not_cancelled_by_either(member: Client, principal: Principal) -> None:
    for name, value in (("a:b", "7"), ("a", "b:7")):
        workflows.submit(principal, kind="sample_reply", input={"subject": "Hi"}, labels={name: value})

    assert member.post(CANCEL, {"do": "look", "label": "a:b:7"}).status_code == 422
    assert "1 open task fits now" in member.post(CANCEL, {"do": "look", "label": '"a:b":7'}).content.decode()


def test_who_may_not_see_payloads_cancels_by_no_words(member: Client, reader: Client, waiting: Approval) -> None:
    assert reader.get(CANCEL).status_code == 403
    Membership.objects.update(sees_payloads=False)

    assert member.post(CANCEL, {"do": "look", "q": "invoice"}).status_code == 422
    assert Workflow.objects.get(pk=waiting.workflow_id).state == "awaiting_approval"


def test_sending_again_needs_to_say_how_it_was_found_out(member: Client, in_doubt: Job) -> None:
    page = f"/admin/agentapp/deadletter/{in_doubt.pk}/change/"
    asked = {"action": "replay", "effect_happened": "no"}

    assert "Say how you found out" in member.post(page, asked).content.decode()
    assert Effect.objects.get().state == "unknown"
    member.post(page, asked | {"reason": "The log of the mail server has no such id."})

    assert Effect.objects.get().state == "prepared"
    told = History.objects.filter(job_id=in_doubt.pk, to_state="available").last()
    assert told is not None and told.reason == "replayed: The log of the mail server has no such id."


def test_a_bulk_replay_of_the_job_type_is_found_for_its_groups(member: Client, principal: Principal, dead: Job) -> None:
    fingerprint = letter_groups.fingerprint_of(dead)
    assert bulk_replays.going_on(principal, fingerprint=fingerprint, type=dead.type) is None
    row = bulk_replays.start(principal, type=dead.type)

    assert bulk_replays.going_on(principal, fingerprint=fingerprint, type=dead.type) == row
    assert bulk_replays.going_on(principal, fingerprint=fingerprint) is None
    page = member.get(f"/admin/agentapp/bulkreplay/add/?fingerprint={fingerprint}").content.decode()
    assert f"/admin/agentapp/bulkreplay/{row.pk}/change/" in page
