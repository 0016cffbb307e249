"""Bulk replays: all dead letters of one kind, begun on one page and watched on another."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from agentapp.admin.base import REFUSALS, model_page, principal_of, refuse, visible_tenants
from agentapp.admin.bulk_operations import BulkOperationAdmin, chosen_tenant
from agentapp.errors import InvalidInput
from agentapp.models import BulkReplay
from agentapp.policies import bounds
from agentapp.services import bulk_replays, dead_letters
from agentapp.services.letter_groups import Group


def start_page(fingerprint: str) -> str:
    """The address on which somebody confirms that all dead letters of a kind are to be replayed."""
    return f"{reverse(model_page(BulkReplay, 'add'))}?{urlencode({'fingerprint': fingerprint})}"


@admin.register(BulkReplay)
class BulkReplayAdmin(BulkOperationAdmin):
    """What goes on, and what became of earlier ones."""

    write_scope, abort = "dead_letters:write", bulk_replays.abort
    stopped = "Stopped: what is under way goes on, the rest stays as it is."
    detail_template = "agentapp/dead_letter_replay.html"
    list_display = ("selected", "state_badge", "progress", "succeeded", "failed", "tenant", "by", "started")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.display(description="dead letters")
    def selected(self, row: BulkReplay) -> str:
        fingerprint = row.selection.get("fingerprint")
        return f"{row.selection['job_type']} ({fingerprint})" if fingerprint else str(row.selection["job_type"])

    def under_way(self, row: BulkReplay) -> int:
        return len(row.replayed)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say what would be replayed; begin with it when the form comes back."""
        if not self.has_add_permission(request):
            raise Forbidden
        fingerprint = request.POST.get("fingerprint") or request.GET.get("fingerprint", "")
        groups = dead_letters.groups(principal_of(request))
        group = next((group for group in groups if group.fingerprint == fingerprint), None)
        status = 200
        if request.method == "POST":
            words = "Begun: a canary goes first, and the rest only if it does well."
            row: BulkReplay | None
            try:
                row = self._start(request, fingerprint)
            except REFUSALS as error:
                row, words = self._same(request, group), "This was begun already and goes on: here it is."
                status = 200 if row else refuse(request, error)
            if row:
                messages.success(request, words)
                return redirect(model_page(BulkReplay, "change"), row.pk)
        context = self.page_context(request, "Replay all of this kind") | {
            "group": group,
            "going_on": self._same(request, group) if group else None,
            "tenants": visible_tenants(request),
            "may_mean_all": principal_of(request).tenant_ids is None,
            "typed": {
                "fingerprint": fingerprint,
                "canary": request.POST.get("canary", str(bulk_replays.CANARY)),
                "batch": request.POST.get("batch", str(bulk_replays.BATCH)),
            },
        }
        return TemplateResponse(request, "agentapp/dead_letter_kind.html", context, status=status)

    def _same(self, request: HttpRequest, group: Group | None) -> BulkReplay | None:
        """What goes on for the same group and tenant, or for all of its job type: a second click leads to it."""
        named = {"fingerprint": group.fingerprint, "type": group.type} if group else {}
        named = named or {"fingerprint": request.POST.get("fingerprint", "")}
        try:
            return bulk_replays.going_on(
                principal_of(request), tenant_id=chosen_tenant(request, request.POST.get("tenant", "")), **named
            )
        except REFUSALS:
            return None

    def _start(self, request: HttpRequest, fingerprint: str) -> BulkReplay:
        numbers: dict[str, int] = {}
        for name in ("canary", "batch"):
            number = bounds.whole(request.POST.get(name, "").strip(), least=1, most=1_000)
            if number is None:
                raise InvalidInput(f"{name.capitalize()} must be a whole number from 1 to 1000.")
            numbers[name] = number
        return bulk_replays.start(
            principal_of(request), fingerprint=fingerprint,
            tenant_id=chosen_tenant(request, request.POST.get("tenant", "")),
            canary=numbers["canary"], batch=numbers["batch"],
        )  # fmt: skip

    def context(self, request: HttpRequest, record: BulkReplay) -> dict[str, Any]:
        return super().context(request, record) | {
            "title": f"Bulk replay of {self.selected(record)}",
            "under_way": len(record.replayed),
            "skipped": bulk_replays.skipped(record),
        }
