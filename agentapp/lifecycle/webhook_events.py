"""Events of tasks: written by the move that makes them -> spread, as one delivery for each endpoint that wants it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, QuerySet

from agentapp import conf, failpoints, flows, registry
from agentapp.errors import InvalidPlan
from agentapp.ids import uuid7
from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import submit
from agentapp.models import Tenant, WebhookDelivery, WebhookEndpoint, WebhookEvent, Workflow
from agentapp.policies import traceparent, webhook_formats, webhooks
from agentapp.states import Origin

KIND = "webhook_delivery"
ACTOR = "dispatcher"
CALLBACK = "callback"
# A delivery that nobody has looked after for so long is over: its dead letter is no use to anybody.
OPEN_FOR_S = 30 * 24 * 3600.0


def _waiting() -> QuerySet[WebhookEvent]:
    return WebhookEvent.objects.filter(spread_at=None).order_by("tenant", "created_at")


LOOK = Look(lambda _: _waiting())


def fresh(*, limit: int, but_not: Sequence[UUID | str] = ()) -> list[WebhookEvent]:
    """Return events that are still to be spread, oldest first, of each tenant as many: ten thousand of one must not
    hold up the single one of another."""
    if not LOOK.finds_any():
        return []
    waiting = _waiting().exclude(pk__in=but_not)
    tenants = list(Tenant.objects.filter(Exists(waiting.filter(tenant=OuterRef("pk")))).values_list("pk", flat=True))
    share = max(1, limit // max(1, len(tenants)))
    oldest = waiting.filter(tenant=OuterRef("pk")).order_by("created_at").values("pk")[:share]
    chosen = (
        Tenant.objects.filter(pk__in=tenants).annotate(oldest=ArraySubquery(oldest)).values_list("oldest", flat=True)
    )
    in_turn = [event for event in chain.from_iterable(zip_longest(*chosen)) if event is not None][:limit]
    found = WebhookEvent.objects.in_bulk(in_turn)
    return [found[event] for event in in_turn if event in found]


def task_of(event: WebhookEvent) -> Workflow | None:
    """Return the task that an event tells of; None when it has been deleted."""
    return Workflow.objects.filter(pk=event.workflow_id).first()


def spread(event: WebhookEvent, task: Workflow, payload: dict[str, Any]) -> list[Opened]:
    """Make a delivery of an event for each endpoint that wants it and for the callback_url of its task, and return what
    is to be published.

    Each delivery is a row and a workflow, in commits of their own, with ids that follow from event and target: after a
    crash in between the next call finds what was made.
    """
    targets = WebhookEndpoint.objects.filter(tenant=event.tenant_id, is_enabled=True)
    wanted: list[WebhookEndpoint | None] = [each for each in targets if webhooks.wants(each.events, event.type)]
    if task.callback_url:
        wanted.append(None)
    deliveries = [_delivery(event, endpoint, task.callback_url, payload) for endpoint in wanted]
    with database.atomic():
        WebhookDelivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    known = set(Workflow.objects.filter(pk__in=[row.workflow_id for row in deliveries]).values_list("pk", flat=True))
    trace = traceparent.of_task(task.pk, task.traceparent)
    opened = [write_down(row, task=task.pk, trace=trace) for row in deliveries if row.workflow_id not in known]
    failpoints.hit("webhook.spread", event.type)
    return opened


def mark_spread(events: Sequence[UUID]) -> int:
    """Note that all deliveries of these events are made, and return of how many nobody had noted it."""
    if not events:
        return 0
    with database.atomic():
        fresh = WebhookEvent.objects.filter(pk__in=events, spread_at=None)
        return fresh.update(spread_at=database.moment())


def _delivery(
    event: WebhookEvent, endpoint: WebhookEndpoint | None, callback_url: str, payload: dict[str, Any]
) -> WebhookDelivery:
    derived = webhooks.derived_id(event.pk, str(endpoint.pk) if endpoint else CALLBACK)
    return WebhookDelivery(
        id=derived, workflow_id=derived, event=event, endpoint=endpoint, tenant_id=event.tenant_id,
        payload=_shown(payload, endpoint) if endpoint else payload,
        url=endpoint.url if endpoint else callback_url, created_at=event.created_at,
    )  # fmt: skip


def _shown(payload: dict[str, Any], endpoint: WebhookEndpoint) -> dict[str, Any]:
    return webhook_formats.rendered(payload, format=endpoint.format, site=conf.public_url())


def again(delivery: WebhookDelivery) -> WebhookDelivery:
    """Store the same event for the same target once more, as a delivery of its own."""
    url = delivery.endpoint.url if delivery.endpoint else delivery.url
    id = uuid7()
    return WebhookDelivery.objects.create(
        id=id, workflow_id=id, event=delivery.event, endpoint=delivery.endpoint, tenant_id=delivery.tenant_id,
        url=url, payload=delivery.payload, created_at=database.now(),
    )  # fmt: skip


def test_of(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Store an event that nothing has caused, for one endpoint."""
    id, moment = uuid7(), database.now()
    event = WebhookEvent.objects.create(
        tenant_id=endpoint.tenant_id, workflow_id=id, seq=0, type=webhooks.TEST_EVENT, created_at=moment,
        spread_at=moment,
    )  # fmt: skip
    payload = webhooks.payload(webhooks.TEST_EVENT, at=moment, data={"endpoint": str(endpoint.pk)})
    return WebhookDelivery.objects.create(
        id=id, workflow_id=id, event=event, endpoint=endpoint, tenant_id=endpoint.tenant_id, url=endpoint.url,
        payload=_shown(payload, endpoint), created_at=moment,
    )  # fmt: skip


def write_down(delivery: WebhookDelivery, *, task: UUID | None = None, trace: str = "", actor: str = ACTOR) -> Opened:
    """Write down the workflow of a delivery and return what is to be published."""
    flow = registry.latest_flow(KIND)
    if flow is None:
        raise InvalidPlan(f"There is no task kind {KIND}: it is part of tasks/flows.")
    workflow = Workflow(
        id=delivery.workflow_id, tenant_id=delivery.tenant_id, kind=KIND, version=flow.version, origin=Origin.WEBHOOK,
        input={"delivery_id": str(delivery.pk)}, labels={}, result_bind=flows.paths_of(flow.result), parent=task,
        traceparent=trace,
    )  # fmt: skip
    return submit(workflow, stages=flows.plan(flow), actor=actor, deadline_s=OPEN_FOR_S)[0]
