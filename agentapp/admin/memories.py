"""What is remembered of customers: listed, corrected, erased."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.core.paginator import Page
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from agentapp.admin import actors, masking
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, model_page, page_of, principal_of, refuse
from agentapp.errors import IllegalMove, ModelRefused, NotFound, Unavailable
from agentapp.models import Memory
from agentapp.policies import facts
from agentapp.services import memories

_PER_PAGE = 25


class Holds(admin.SimpleListFilter):
    """Versions that do not hold any more are shown when they are asked for."""

    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("holds", "that holds"), ("superseded", "that was superseded")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Memory]) -> QuerySet[Memory]:
        if self.value() not in ("holds", "superseded"):
            return queryset
        return queryset.filter(valid_until__isnull=self.value() == "holds")


@admin.register(Memory)
class MemoryAdmin(ReadOnlyAdmin):
    """Facts about customers."""

    read_scope = memories.READ
    detail_template = "agentapp/memory.html"
    masks_page = True
    masked_fields = {"about": masking.MASKED, "text": masking.MASKED}
    list_display = ("about", "text", "tenant", "is_untrusted", "writer", "valid_from", "valid_until")
    list_filter = (TenantFilter, Holds, "is_untrusted")
    list_select_related = ("tenant",)
    # Whole addresses: what begins within one is found by no index.
    search_fields = ("about__exact",)
    ordering = ("-id",)
    actions = ("remove",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Memory]:
        return super().get_queryset(request).defer("search", "embedding")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        known = actors.names(row.written_by for row in found.result_list)
        for row in found.result_list:
            row.writer = known[row.written_by]
        return found

    @admin.display(description="written by", ordering="written_by")
    def writer(self, memory: Any) -> str:
        return str(memory.writer)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Memory], search_term: str
    ) -> tuple[QuerySet[Memory], bool]:
        wanted = facts.about(search_term)
        return (queryset.filter(about=wanted) if wanted else queryset), False

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return memories.WRITE in principal_of(request).scopes

    @admin.action(description="Erase the selected facts", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Memory]) -> None:
        for memory in queryset:
            try:
                memories.erase(principal_of(request), memory.pk)
            except IllegalMove as error:
                self.message_user(request, str(error), messages.WARNING)
                continue
            except NotFound:
                # Two versions of one fact go together.
                continue
            self.message_user(request, "Erased: a fact with all its versions.", messages.SUCCESS)

    def context(self, request: HttpRequest, record: Memory) -> dict[str, Any]:
        return {
            "title": f"Memory about {record.about}",
            "versions": page_of(request, "versions", memories.versions(record), size=_PER_PAGE),
            "changes": _named(page_of(request, "changes", memories.changes(record), size=_PER_PAGE)),
            "longest": facts.LONGEST_TEXT,
            "can_write": self.has_remove_permission(request),
        }

    def act(self, request: HttpRequest, record: Memory) -> HttpResponse:
        if not self.has_remove_permission(request):
            raise Forbidden
        principal, action = principal_of(request), request.POST.get("action")
        try:
            if action == "correct":
                kept = memories.correct(principal, record.pk, text=request.POST.get("text", ""))
                messages.success(request, "Corrected. This version holds from now on.")
                return redirect(model_page(Memory, "change"), kept.pk)
            if action == "erase_all":
                erased = memories.erase_about(principal, about=record.about, tenant_id=record.tenant_id)
                messages.success(request, f"Erased: {erased} {'fact' if erased == 1 else 'facts'} about this customer.")
            elif action == "erase":
                memories.erase(principal, record.pk)
                messages.success(request, "Erased: the fact with all its versions.")
            else:
                raise Forbidden
        except IllegalMove as error:
            # Somebody has corrected it meanwhile: the form is that of the version that holds.
            record = memories.versions(record).filter(valid_until=None).first() or record
            return self.page(request, record, status=refuse(request, error), text=request.POST.get("text", ""))
        except (*REFUSALS, ModelRefused, Unavailable) as error:
            return self.page(request, record, status=refuse(request, error), text=request.POST.get("text", ""))
        return redirect(model_page(Memory, "changelist"))


def _named(changes: Page[Any]) -> Page[Any]:
    actors.give_names(changes)
    return changes
