"""Bulk cancellations: many tasks at once, begun on one page or over the API, and watched on another."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp import registry
from agentapp.admin import cells, masking
from agentapp.admin.base import REFUSALS, model_page, principal_of, refuse, visible_tenants
from agentapp.admin.bulk_operations import BulkOperationAdmin, chosen_tenant
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.models import BulkCancellation
from agentapp.policies import labels
from agentapp.services import bulk_operations, cancellations, validation


@admin.register(BulkCancellation)
class BulkCancellationAdmin(BulkOperationAdmin):
    """What goes on, and what became of earlier ones."""

    detail_template = "agentapp/bulk_cancellation.html"
    write_scope, abort = "tasks:write", cancellations.abort
    stopped = "Stopped: tasks that are cancelled stay so, the rest go on."
    list_display = ("tasks", "state_badge", "progress", "cancelled", "skipped", "failed", "tenant", "by", "started")

    @admin.display(description="tasks")
    def tasks(self, row: BulkCancellation) -> str:
        return ", ".join(f"{name} {_words(value)}" for name, value in row.selection["filter"].items())

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show which tasks fit; cancel them when the form comes back with the filter that was looked at."""
        if not self.has_add_permission(request):
            raise Forbidden
        typed = {name: (request.POST or request.GET).get(name, "").strip() for name in _TYPED}
        shown: dict[str, Any] = {}
        status = 200
        try:
            if request.POST.get("do") == "cancel":
                return self._start(request, typed)
            if request.method == "POST":
                shown = self._fitting(request, typed)
        except REFUSALS as error:
            status = refuse(request, error)
        context = self.page_context(request, "Cancel many tasks") | {
            "typed": typed, "tenants": visible_tenants(request), "states": cancellations.OPEN,
            "kinds": registry.kinds(),
            "may_mean_all": principal_of(request).tenant_ids is None, "most": bulk_operations.MOST, "fitting": None,
        }  # fmt: skip
        return TemplateResponse(request, "agentapp/add_bulk_cancellation.html", context | shown, status=status)

    def _start(self, request: HttpRequest, typed: dict[str, str]) -> HttpResponse:
        if request.POST.get("seen") != _seen(typed):
            raise IllegalMove("The filter was changed since. Look at what fits now first.")
        row = cancellations.start(
            principal_of(request), _filter(request, typed), reason=validation.checked_reason(typed["reason"]),
            tenant_id=chosen_tenant(request, typed["tenant"]),
        )  # fmt: skip
        messages.success(request, "Begun: the tasks are cancelled one after the other.")
        return redirect(model_page(BulkCancellation, "change"), row.pk)

    def _fitting(self, request: HttpRequest, typed: dict[str, str]) -> dict[str, Any]:
        principal = principal_of(request)
        tenant_id = bulk_operations.chosen_tenant(
            principal, chosen_tenant(request, typed["tenant"]), needs=self.write_scope
        )
        rows = cancellations.matching(principal, _filter(request, typed), tenant_id=tenant_id)
        sample = list(rows[:_SAMPLE])
        masking.mask(principal, sample, {"input": masking.OBJECT})
        for task in sample:
            task.headline = cells.headline(task.input) or task.kind  # type: ignore[attr-defined]
        return {"fitting": rows.count(), "sample": sample, "seen": _seen(typed)}

    def context(self, request: HttpRequest, record: BulkCancellation) -> dict[str, Any]:
        return super().context(request, record) | {"title": "Bulk cancellation", "tasks": self.tasks(record)}


# What is typed into the form; who would search words of masked payloads would read them so.
_TYPED = ("tenant", "state", "kind", "label", "q", "reason")
_SAMPLE = 10


def _seen(typed: dict[str, str]) -> str:
    """What was looked at: what is cancelled must be that."""
    return json.dumps([typed[name] for name in _TYPED if name != "reason"])


def _filter(request: HttpRequest, typed: dict[str, str]) -> dict[str, Any]:
    """The form as task_filters.matching takes it. Raises InvalidInput."""
    label = labels.read(typed["label"])
    if typed["label"] and label is None:
        raise InvalidInput.at("label", labels.HOW)
    principal = principal_of(request)
    if typed["q"] and any(masking.hides(principal, tenant.pk) for tenant in visible_tenants(request)):
        raise InvalidInput.at("q", "Words stand in payloads, which you may not see in each of your tenants.")
    if typed["state"] and typed["state"] not in cancellations.OPEN:
        raise InvalidInput.at("state", f"Choose one of {', '.join(cancellations.OPEN)}.")
    return {
        "state": [typed["state"]] if typed["state"] else [], "kind": [typed["kind"][:100]] if typed["kind"] else [],
        "label": dict([label]) if label else {}, "q": typed["q"],
    }  # fmt: skip


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(labels.written(key, each) for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
