"""The audit entries: what people, keys and commands have done, as the audit chain holds it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import actors, cells
from agentapp.admin.platform import PlatformAdmin
from agentapp.models import AuditEntry, Tenant

ERASED = "erased"


@admin.register(AuditEntry)
class AuditEntryAdmin(PlatformAdmin):
    """Newest first. Whether the chain holds is said by `manage.py verify_audit`: that takes longer than a page may."""

    list_display = ("number_in_chain", "when", "did", "to", "by", "tenant")
    list_filter = ("source", "is_erased")
    search_fields = ("actor", "action", "target")
    ordering = ("-id",)

    @admin.display(description="number", ordering="number")
    def number_in_chain(self, entry: AuditEntry) -> str:
        return "not sealed yet" if entry.number is None else f"{entry.number:,}"

    @admin.display(description="when", ordering="id")
    def when(self, entry: AuditEntry) -> SafeString:
        return cells.when(entry.at)

    @admin.display(description="what", ordering="action")
    def did(self, entry: AuditEntry) -> str:
        return ERASED if entry.is_erased else entry.action

    @admin.display(description="of", ordering="target")
    def to(self, entry: AuditEntry) -> str | SafeString:
        page = _page_of_record(entry)
        return format_html('<a href="{}">{}</a>', page, entry.target) if page else entry.target

    @admin.display(description="by", ordering="actor")
    def by(self, entry: Any) -> str:
        return str(entry.who)

    @admin.display(description="tenant")
    def tenant(self, entry: Any) -> str:
        return str(entry.of_tenant)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        rows = list(found.result_list)
        actors.give_names(rows)
        slugs = dict(Tenant.objects.filter(pk__in={row.tenant_number for row in rows}).values_list("pk", "slug"))
        for row in rows:
            row.of_tenant = slugs.get(row.tenant_number, row.tenant_number or "-")
        found.result_list = rows
        return found


def _page_of_record(entry: AuditEntry) -> str:
    """Where the record is shown that the entry tells of; "" for one that is erased or has no page."""
    if entry.is_erased:
        return ""
    if entry.source == "history":
        return reverse("admin:agentapp_workflow_change", args=(entry.source_key.partition("/")[0],))
    if entry.source == "change" and entry.source_key.isdigit():
        return reverse("admin:agentapp_gatechange_change", args=(entry.source_key,))
    return ""
