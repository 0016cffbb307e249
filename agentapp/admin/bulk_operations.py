"""What the pages of bulk replays and of bulk cancellations have in common: a list, a page with the progress, a stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from agentapp.admin import actors, cells
from agentapp.admin.base import (
    REFUSALS,
    DrillFilter,
    ReadOnlyAdmin,
    TenantFilter,
    principal_of,
    refuse,
    visible_tenants,
)
from agentapp.errors import InvalidInput

_TONES = {"canary": "active", "running": "active", "done": "good", "aborted": "bad"}


class BulkOperationAdmin(ReadOnlyAdmin):
    """What goes on, and what became of earlier ones. `abort` stops one, `stopped` is what is said then."""

    write_scope: ClassVar[str]
    abort: ClassVar[Callable[..., Any]]
    stopped: ClassVar[str]
    list_filter = ("state", TenantFilter, DrillFilter)
    list_select_related = ("tenant",)
    ordering = ("-id",)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        actors.give_names(found.result_list)
        return found

    def may_write(self, request: HttpRequest) -> bool:
        return self.write_scope in principal_of(request).scopes

    @admin.display(description="state", ordering="state")
    def state_badge(self, row: Any) -> SafeString:
        return cells.badge(row.state, _TONES[row.state])

    @admin.display(description="ended")
    def progress(self, row: Any) -> SafeString:
        return cells.progress(row.selection["total"] - len(row.waiting) - self.under_way(row), row.selection["total"])

    def under_way(self, row: Any) -> int:
        """How many are neither waiting nor ended."""
        return 0

    @admin.display(description="by", ordering="actor")
    def by(self, row: Any) -> str:
        return str(row.who)

    @admin.display(description="started", ordering="id")
    def started(self, row: Any) -> SafeString:
        return cells.when(row.created_at)

    def context(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        return {
            "state": self.state_badge(record),
            "progress": self.progress(record),
            "waiting": len(record.waiting),
            "can_abort": record.finished_at is None and self.may_write(request),
        }

    def act(self, request: HttpRequest, record: Any) -> HttpResponse:
        """Abort, the only thing that can be done to one here."""
        reason = request.POST.get("reason", "").strip()
        try:
            type(self).abort(principal_of(request), record.pk, reason=reason)
        except REFUSALS as error:
            status = refuse(request, error)
            record.refresh_from_db()
            return self.page(request, record, status=status, reason=reason)
        messages.success(request, self.stopped)
        return redirect(request.path)


def chosen_tenant(request: HttpRequest, slug: str) -> int | None:
    """The tenant that was chosen; None where none was. Raises InvalidInput."""
    tenant = visible_tenants(request).filter(slug=slug).first()
    if slug and tenant is None:
        raise InvalidInput("Choose one of the tenants in the list.")
    return tenant.pk if tenant else None
