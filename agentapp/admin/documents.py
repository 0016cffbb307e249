"""The knowledge base: what is in it, uploading a file, deleting."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from agentapp import conf
from agentapp.admin import cells
from agentapp.admin.base import (
    REFUSALS,
    ReadOnlyAdmin,
    TenantFilter,
    model_page,
    page_of,
    principal_of,
    refuse,
    visible_tenants,
)
from agentapp.errors import IllegalMove, InvalidInput, NotFound, Unavailable
from agentapp.models import Document
from agentapp.policies import bounds, file_types
from agentapp.services import document_progress, documents, uploads
from agentapp.services.uploads import File

FIELDS = ("tenant", "source", "title", "collection")


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """The knowledge base."""

    read_scope = "documents:read"
    detail_template = "agentapp/document.html"
    list_display = ("title", "source", "collection", "state_badge", "tenant", "size", "updated_at")
    list_filter = (TenantFilter, "state")
    list_select_related = ("tenant",)
    search_fields = ("title", "source", "collection")
    ordering = ("-updated_at",)
    actions = ("remove",)

    @admin.display(description="state", ordering="state")
    def state_badge(self, document: Document) -> SafeString:
        return cells.badge(document.state)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_remove_permission(request)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return "documents:write" in principal_of(request).scopes

    @admin.action(description="Delete the selected documents", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        for document in queryset:
            try:
                documents.delete(principal_of(request), document.pk)
            except (IllegalMove, NotFound) as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"Deleted: no answer quotes {document.source} any more.", messages.SUCCESS)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        status = 200
        if request.method == "POST":
            try:
                document = _uploaded(request)
            except (*REFUSALS, Unavailable) as error:
                status = refuse(request, error)
            else:
                messages.success(
                    request, f"The file {document.source} is stored. This page shows when it can be quoted."
                )
                return redirect(model_page(Document, "change"), document.pk)
        about = {
            "typed": {name: request.POST.get(name, "") for name in FIELDS}, "tenants": visible_tenants(request),
            "most_bytes": conf.upload_max_bytes(), "suffixes": ",".join(file_types.SUFFIXES),
        }  # fmt: skip
        context = self.page_context(request, "Upload a document") | about
        return TemplateResponse(request, "agentapp/add_document.html", context, status=status)

    def context(self, request: HttpRequest, record: Document) -> dict[str, Any]:
        chunks = record.chunks.defer("search", "embedding").order_by("position")
        shown = {"title": record.title, "chunks": page_of(request, "chunks", chunks, size=25)}
        progress = document_progress.of([record])[record.pk]
        return shown | {"can_delete": self.has_remove_permission(request), "progress": progress}

    def act(self, request: HttpRequest, record: Document) -> HttpResponse:
        if not self.has_remove_permission(request):
            raise Forbidden
        self.remove(request, Document.objects.filter(pk=record.pk))
        return redirect(model_page(Document, "changelist"))


def _uploaded(request: HttpRequest) -> Document:
    """Take the file of a form in. Raises what the service raises."""
    sent = request.FILES.get("file")
    if sent is None:
        raise InvalidInput.at("file", "Choose a file.")
    typed = {name: request.POST.get(name, "") for name in ("title", "collection")}
    file = File(sent.read(), request.POST.get("source", "") or sent.name or "", sent.content_type or "", **typed)
    tenant_id = bounds.whole(request.POST.get("tenant", ""), most=bounds.LARGEST_BIGINT)
    return uploads.upload(principal_of(request), file, tenant_id=tenant_id or _only_tenant(request))


def _only_tenant(request: HttpRequest) -> int | None:
    found = list(visible_tenants(request)[:2])
    return found[0].pk if len(found) == 1 else None
