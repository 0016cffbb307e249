"""Events become deliveries: once each, for every endpoint that wants them, and for no tenant at the cost of another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.api import shapes
from agentapp.dispatch import webhooks as duty
from agentapp.errors import InvalidInput
from agentapp.ids import uuid7
from agentapp.lifecycle import database, gates, webhook_events
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Gate, Job, Tenant, WebhookDelivery, WebhookEvent, Workflow
from agentapp.policies.permissions import OPERATOR_SCOPES, WORKER_CLASS_SCOPES
from agentapp.services import dead_letters, reasons, webhooks, workflows
from agentapp.services import gates as services_gates
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.delivery import receiver
from tests.delivery.receiver import Receiver, receiving
from tests.harness import drain, run_workflow
from tests.webhooks.world import cancelled_task, content, deliver, endpoint, finish_a_task, spread

pytestmark = pytest.mark.django_db


def told(well: Receiver) -> list[str]:
    return [content(request)["type"] for request in well.requests]


def write_events(tenant: Tenant, task: Workflow, count: int) -> None:
    """What as many moves would have written."""
    moment = database.now()
    WebhookEvent.objects.bulk_create(
        WebhookEvent(
            id=uuid7(), tenant=tenant, workflow_id=task.pk, seq=n, type="task.completed", created_at=moment
        )
        for n in range(count)
    )  # fmt: skip


def test_an_endpoint_is_told_of_what_it_asked_for(principal: Principal, well: Receiver) -> None:
    endpoint(principal, well, events=["task.failed", "task.cancelled"])
    finish_a_task(principal)
    cancelled_task(principal)

    deliver()

    assert told(well) == ["task.cancelled"]
    assert not WebhookEvent.objects.filter(spread_at=None).exists()


def test_the_events_of_tasks_are_told(principal: Principal, well: Receiver) -> None:
    endpoint(principal, well)
    finish_a_task(principal)
    cancelled_task(principal)
    stuck = run_workflow(principal, "probe_fan", {"fail": "permanent"})
    letter = Job.objects.get(workflow=stuck, state="dead_lettered")
    dead_letters.notify(principal, letter.pk, text="We look into it.")
    waiting = run_workflow(principal, "probe_decision", {})
    deliver()

    kinds = {content(request)["type"]: content(request)["data"] for request in well.requests}
    assert set(kinds) == {
        "task.completed", "task.cancelled", "task.needs_attention", "task.notice", "approval.requested",
    }  # fmt: skip
    assert [each["text"] for each in kinds["task.notice"]["notices"]] == ["We look into it."]
    assert kinds["task.needs_attention"]["id"] == str(stuck.pk)
    assert kinds["task.needs_attention"]["blocked_by"][0]["type"] == "dead_letter"
    assert kinds["approval.requested"]["id"] == str(waiting.pk)
    assert kinds["approval.requested"]["blocked_by"][0]["type"] == "approval"


def test_an_event_has_one_delivery_for_each_endpoint_and_one_for_the_callback(
    principal: Principal, well: Receiver
) -> None:
    endpoint(principal, well)
    endpoint(principal, well)
    with receiving(receiver.status(200)) as callback:
        finish_a_task(principal, callback_url=callback.url)
        deliver()

    assert (len(well.requests), len(callback.requests)) == (2, 1)
    ids = {request.headers["webhook-id"] for request in [*well.requests, *callback.requests]}
    assert len(ids) == 1


def test_a_disabled_endpoint_and_a_tenant_without_any_make_no_events(
    principal: Principal, other_principal: Principal, well: Receiver
) -> None:
    row, _ = endpoint(principal, well)
    webhooks.change(principal, row.pk, {"is_enabled": False})
    finish_a_task(principal)
    finish_a_task(other_principal)

    assert not WebhookEvent.objects.exists()


def test_a_delivery_is_told_to_nobody(principal: Principal, well: Receiver) -> None:
    endpoint(principal, well)
    finish_a_task(principal)
    deliver()

    assert spread() == 0
    assert told(well) == ["task.completed"]


def test_what_was_spread_and_not_marked_is_not_made_twice(principal: Principal, well: Receiver) -> None:
    """As after a process that died in between."""
    endpoint(principal, well)
    finish_a_task(principal)
    spread()
    WebhookEvent.objects.update(spread_at=None)

    assert spread() == 1

    assert WebhookDelivery.objects.count() == 1
    assert Workflow.objects.filter(origin="webhook").count() == 1


def test_an_event_whose_task_is_gone_is_over(principal: Principal, well: Receiver, tenant: Tenant) -> None:
    endpoint(principal, well)
    write_events(tenant, Workflow(id=uuid7()), 1)

    assert (spread(), spread()) == (1, 0)
    assert not WebhookDelivery.objects.exists()


def test_the_single_event_of_a_tenant_does_not_wait_for_ten_thousand_of_another(
    principal: Principal, other_principal: Principal, tenant: Tenant, well: Receiver
) -> None:
    endpoint(other_principal, well)
    task = finish_a_task(principal)
    write_events(tenant, task, 10_000)
    finish_a_task(other_principal)

    chosen = webhook_events.fresh(limit=duty.BATCH)

    assert len(chosen) == duty.BATCH // 2 + 1
    assert {event.tenant_id for event in chosen[:2]} == {tenant.pk, other_principal.tenant_id}


def test_an_event_that_raises_is_set_aside_and_the_others_go_on(
    principal: Principal, well: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint(principal, well)
    bad, good = finish_a_task(principal), finish_a_task(principal)

    def shape(task: Workflow) -> Any:
        if task.pk == bad.pk:
            raise ValueError("this task has no shape")
        return shapes.task(task)

    assert duty.Spreader(shape).spread() == 1
    drain()

    assert [content(request)["data"]["id"] for request in well.requests] == [str(good.pk)]
    assert spread() == 0, "it is set aside"
    duty.FRESH.aside.clear()
    assert spread() == 1


def test_deliveries_count_for_no_quota_of_the_tenant(principal: Principal, well: Receiver) -> None:
    endpoint(principal, well)
    finish_a_task(principal)
    spread()
    Gate.objects.create(scope="tenant", pattern="*", max_waiting=1)

    assert workflows.submit(principal, kind="probe_fan", input={}).state == "pending"


def taken(job: Job) -> bool:
    return isinstance(claim(str(job.pk), worker="worker", queues=tuple(WORKER_CLASS_SCOPES), lease_s=60), Claimed)


@pytest.mark.parametrize("is_sent_first", [True, False])
def test_a_delivery_takes_no_slot_of_its_tenant_and_waits_for_none(
    principal: Principal, well: Receiver, is_sent_first: bool
) -> None:
    endpoint(principal, well)
    finish_a_task(principal)
    spread()
    gates.keep(Gate(scope="tenant", pattern="*", concurrency=1), actor="test")
    begun = [workflows.submit(principal, kind="probe_fan", input={}) for _ in range(2)]
    delivery = Job.objects.get(type="deliver_webhook")
    first, second = (Job.objects.get(workflow=task, type="probe_first") for task in begun)

    both = [delivery, first] if is_sent_first else [first, delivery]
    assert [taken(job) for job in both] == [True, True]
    assert not taken(second)
    blockers = Job.objects.get(pk=second.pk).blocked_by or []
    assert [(blocker["scope"], blocker["running"]) for blocker in blockers] == [("tenant", 1)]
    (why,) = reasons.blocked_by([begun[1]])[begun[1].pk]
    assert [holder["job_type"] for holder in why["holders"]] == ["probe_first"]


def test_a_tenant_that_drains_is_still_told_of_what_ends(principal: Principal, well: Receiver) -> None:
    endpoint(principal, well)
    finish_a_task(principal)
    platform = Principal(frozenset(OPERATOR_SCOPES), None)
    tenant = WebhookEvent.objects.get().tenant
    services_gates.set_mode(platform, "tenant", tenant.slug, KeyMode.DRAINING, reason="for a test")

    assert deliver() == 1 and told(well) == ["task.completed"]


def test_a_chat_is_sent_a_message(principal: Principal, well: Receiver, settings: Settings) -> None:
    settings.AGENTAPP_PUBLIC_URL = "https://agents.sample.test"
    one, _ = endpoint(principal, well, format="slack", events=["task.completed"])
    finish_a_task(principal)

    deliver()

    (message,) = [json.loads(request.body) for request in well.requests]
    assert set(message) == {"text", "blocks"} and message["text"].startswith("A task is completed")
    assert "<https://agents.sample.test/admin/agentapp/workflow/" in message["text"]
    with pytest.raises(InvalidInput, match="Choose one of agentapp, slack, teams"):
        webhooks.change(principal, one.pk, {"format": "smoke"})
    assert webhooks.change(principal, one.pk, {"format": "teams"}).format == "teams"
