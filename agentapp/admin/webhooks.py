"""Who is told of tasks, and what was sent to them: pages that show, send again, test, enable and disable."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from agentapp.admin import cells, masking
from agentapp.admin.base import (
    REFUSALS,
    DrillFilter,
    ReadOnlyAdmin,
    TenantFilter,
    model_page,
    page_of,
    principal_of,
    refuse,
)
from agentapp.models import WebhookDelivery, WebhookEndpoint, Workflow
from agentapp.services import delivery_states, webhook_deliveries, webhooks
from agentapp.states import DeliveryState

TONES = {
    DeliveryState.DELIVERED: "good",
    DeliveryState.PENDING: "waiting",
    DeliveryState.RETRYING: "waiting",
    DeliveryState.DEAD_LETTERED: "bad",
}
ROWS = 25


def may_write(request: HttpRequest) -> bool:
    return webhooks.WRITE in principal_of(request).scopes


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Addresses that tenants want to be told at."""

    read_scope = webhooks.READ
    detail_template = "agentapp/webhook_endpoint.html"
    list_display = ("url", "state", "tenant", "wanted", "failing", "created_at")
    list_filter = ("is_enabled", TenantFilter)
    list_select_related = ("tenant",)
    search_fields = ("url", "description")
    ordering = ("-id",)

    @admin.display(description="state", ordering="is_enabled")
    def state(self, endpoint: WebhookEndpoint) -> SafeString:
        return badge(endpoint)

    @admin.display(description="events")
    def wanted(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.events) or "all"

    @admin.display(description="failing since", ordering="failing_since")
    def failing(self, endpoint: WebhookEndpoint) -> SafeString:
        return cells.when(endpoint.failing_since)

    def context(self, request: HttpRequest, record: WebhookEndpoint) -> dict[str, Any]:
        rows = webhook_deliveries.of_endpoint(principal_of(request), record.pk)
        return {
            "title": record.url, "state": badge(record), "may_write": may_write(request),
            "deliveries": page_of(request, "deliveries", rows, size=ROWS),
            "delivery_page": model_page(WebhookDelivery, "change"),
        }  # fmt: skip

    def act(self, request: HttpRequest, record: WebhookEndpoint) -> HttpResponse:
        principal, wanted = principal_of(request), request.POST.get("action", "")
        try:
            if wanted == "test":
                delivery = webhook_deliveries.test(principal, record.pk)
                return redirect(model_page(WebhookDelivery, "change"), delivery.pk)
            webhooks.change(principal, record.pk, {"is_enabled": wanted == "enable"})
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, "Enabled: what happens from now on is sent." if wanted == "enable" else "Disabled.")
        return redirect(request.path)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """One event on its way to one address, with each attempt."""

    read_scope = webhooks.READ
    detail_template = "agentapp/webhook_delivery.html"
    masked_fields = {"payload": masking.OBJECT}
    list_display = ("event_type", "url", "tenant", "attempts", "last_answer", "created")
    list_filter = ("event__type", TenantFilter, DrillFilter)
    list_select_related = ("tenant", "event")
    search_fields = ("id", "event__id", "event__workflow_id", "url")
    search_help_text = "The id of a delivery, of its event or task, or a part of the URL."
    ordering = ("-id",)

    @admin.display(description="event", ordering="event__type")
    def event_type(self, delivery: WebhookDelivery) -> str:
        return delivery.event.type

    @admin.display(description="attempts")
    def attempts(self, delivery: WebhookDelivery) -> int:
        return len(delivery.log)

    @admin.display(description="last answer")
    def last_answer(self, delivery: WebhookDelivery) -> str:
        last = delivery.log[-1] if delivery.log else {}
        return str(last.get("status") or last.get("error") or "-")

    @admin.display(description="created", ordering="-id")
    def created(self, delivery: WebhookDelivery) -> SafeString:
        return cells.when(delivery.created_at)

    def context(self, request: HttpRequest, record: WebhookDelivery) -> dict[str, Any]:
        progress = delivery_states.progress([record])[record.pk]
        workflow = Workflow.objects.filter(pk=record.workflow_id).first()
        return {
            "title": f"{record.event.type} to {record.url}",
            "state": cells.badge(progress.state.value, TONES.get(progress.state, "quiet")),
            "progress": progress, "workflow": workflow, "may_write": may_write(request),
            "is_about_a_task": Workflow.objects.filter(pk=record.event.workflow_id).exists(),
            "took": [
                each | {"seconds": each["ms"] / 1000, "at": datetime.fromisoformat(each["at"])}
                for each in reversed(record.log)
            ],
        }  # fmt: skip

    def act(self, request: HttpRequest, record: WebhookDelivery) -> HttpResponse:
        try:
            again = webhook_deliveries.resend(principal_of(request), record.pk)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, "It is sent again, under the same webhook-id. This is the new delivery.")
        return redirect(model_page(WebhookDelivery, "change"), again.pk)


def badge(endpoint: WebhookEndpoint) -> SafeString:
    if not endpoint.is_enabled:
        return cells.badge("disabled", "quiet")
    return cells.badge("failing", "bad") if endpoint.failing_since else cells.badge("enabled", "good")
