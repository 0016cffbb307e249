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
from django.utils.safestring import SafeString

from agentapp.admin import actors, cells
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, model_page, principal_of, refuse, visible_tenants
from agentapp.errors import InvalidInput
from agentapp.models import BulkReplay
from agentapp.policies import bounds
from agentapp.services import bulk_replays, dead_letters

_TONES = {"canary": "active", "running": "active", "done": "good", "aborted": "bad"}


def start_page(fingerprint: str) -> str:
    """The address on which somebody confirms that all dead letters of a kind are to be replayed."""
    return f"{reverse(model_page(BulkReplay, 'add'))}?{urlencode({'fingerprint': fingerprint})}"


@admin.register(BulkReplay)
class BulkReplayAdmin(ReadOnlyAdmin):
    """What goes on, and what became of earlier ones."""

    detail_template = "agentapp/dead_letter_replay.html"
    list_display = ("selected", "state_badge", "progress", "succeeded", "failed", "tenant", "by", "started")
    list_filter = ("state", TenantFilter)
    list_select_related = ("tenant",)
    ordering = ("-id",)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        actors.give_names(found.result_list)
        return found

    def has_add_permission(self, request: HttpRequest) -> bool:
        return "dead_letters:write" in principal_of(request).scopes

    @admin.display(description="dead letters")
    def selected(self, row: BulkReplay) -> str:
        fingerprint = row.selection.get("fingerprint")
        return f"{row.selection['job_type']} ({fingerprint})" if fingerprint else str(row.selection["job_type"])

    @admin.display(description="state", ordering="state")
    def state_badge(self, row: BulkReplay) -> SafeString:
        return cells.badge(row.state, _TONES[row.state])

    @admin.display(description="ended")
    def progress(self, row: BulkReplay) -> SafeString:
        return cells.progress(_ended(row), row.selection["total"])

    @admin.display(description="by", ordering="actor")
    def by(self, row: Any) -> str:
        return str(row.who)

    @admin.display(description="started", ordering="id")
    def started(self, row: BulkReplay) -> SafeString:
        return cells.when(row.created_at)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say what would be replayed; begin with it when the form comes back."""
        if not self.has_add_permission(request):
            raise Forbidden
        fingerprint = request.POST.get("fingerprint") or request.GET.get("fingerprint", "")
        status = 200
        if request.method == "POST":
            try:
                row = self._start(request, fingerprint)
            except REFUSALS as error:
                status = refuse(request, error)
            else:
                messages.success(request, "Begun: a canary goes first, and the rest only if it does well.")
                return redirect(model_page(BulkReplay, "change"), row.pk)
        groups = dead_letters.groups(principal_of(request))
        context = self.page_context(request, "Replay all of this kind") | {
            "group": next((group for group in groups if group.fingerprint == fingerprint), None),
            "tenants": visible_tenants(request),
            "may_mean_all": principal_of(request).tenant_ids is None,
            "typed": {
                "fingerprint": fingerprint,
                "canary": request.POST.get("canary", str(bulk_replays.CANARY)),
                "batch": request.POST.get("batch", str(bulk_replays.BATCH)),
            },
        }
        return TemplateResponse(request, "agentapp/dead_letter_kind.html", context, status=status)

    def _start(self, request: HttpRequest, fingerprint: str) -> BulkReplay:
        numbers: dict[str, int] = {}
        for name in ("canary", "batch"):
            number = bounds.whole(request.POST.get(name, "").strip(), least=1, most=1_000)
            if number is None:
                raise InvalidInput(f"{name.capitalize()} must be a whole number from 1 to 1000.")
            numbers[name] = number
        slug = request.POST.get("tenant", "")
        tenant = visible_tenants(request).filter(slug=slug).first()
        if slug and tenant is None:
            raise InvalidInput("Choose one of the tenants in the list.")
        return bulk_replays.start(
            principal_of(request), fingerprint=fingerprint, tenant_id=tenant.pk if tenant else None,
            canary=numbers["canary"], batch=numbers["batch"],
        )  # fmt: skip

    def context(self, request: HttpRequest, record: BulkReplay) -> dict[str, Any]:
        return {
            "title": f"Bulk replay of {self.selected(record)}",
            "state": self.state_badge(record),
            "progress": self.progress(record),
            "waiting": len(record.waiting),
            "under_way": len(record.replayed),
            "skipped": bulk_replays.skipped(record),
            "can_abort": record.finished_at is None and self.has_add_permission(request),
        }

    def act(self, request: HttpRequest, record: BulkReplay) -> HttpResponse:
        """Abort, the only thing that can be done to one here."""
        reason = request.POST.get("reason", "").strip()
        try:
            bulk_replays.abort(principal_of(request), record.pk, reason=reason)
        except REFUSALS as error:
            status = refuse(request, error)
            record.refresh_from_db()
            return self.page(request, record, status=status, reason=reason)
        messages.success(request, "Stopped: what is under way goes on, the rest stays as it is.")
        return redirect(request.path)


def _ended(row: BulkReplay) -> int:
    return int(row.selection["total"]) - len(row.waiting) - len(row.replayed)
