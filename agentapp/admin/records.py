"""What has no life of its own here: documents, which can be deleted; effects, model calls and artifacts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from agentapp.admin import cells
from agentapp.admin.base import ReadOnlyAdmin, TenantFilter, model_page, page_of, principal_of
from agentapp.errors import ContentMissing, NotFound, Unavailable
from agentapp.models import Artifact, Document, Effect, ModelCall
from agentapp.services import artifacts, documents

# An artifact's page shows this much of it, in bytes; more would make the browser slow.
SHOWN_BYTES = 200_000


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """The knowledge base."""

    read_scope = "documents:read"
    detail_template = "agentapp/document.html"
    list_display = ("title", "source", "tenant", "size", "updated_at")
    list_filter = (TenantFilter,)
    list_select_related = ("tenant",)
    search_fields = ("title", "source")
    ordering = ("-updated_at",)
    actions = ("remove",)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return "documents:write" in principal_of(request).scopes

    @admin.action(description="Delete the selected documents", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        for document in queryset:
            try:
                documents.delete(principal_of(request), document.pk)
            except NotFound as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"Deleted: no answer quotes {document.source} any more.", messages.SUCCESS)

    def context(self, request: HttpRequest, record: Document) -> dict[str, Any]:
        chunks = record.chunks.defer("search", "embedding").order_by("position")
        shown = {"title": record.title, "chunks": page_of(request, "chunks", chunks, size=25)}
        return shown | {"can_delete": self.has_remove_permission(request)}

    def act(self, request: HttpRequest, record: Document) -> HttpResponse:
        if not self.has_remove_permission(request):
            raise Forbidden
        self.remove(request, Document.objects.filter(pk=record.pk))
        return redirect(model_page(Document, "changelist"))


@admin.register(Effect)
class EffectAdmin(ReadOnlyAdmin):
    """Writes to the outside world."""

    list_display = ("type", "state_badge", "key", "tenant", "sends", "prepared_at", "confirmed_at")
    list_filter = ("state", "type", TenantFilter)
    list_select_related = ("tenant",)
    search_fields = ("key", "workflow_id")
    ordering = ("-id",)

    @admin.display(description="state", ordering="state")
    def state_badge(self, effect: Effect) -> SafeString:
        return cells.badge(effect.state)


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnlyAdmin):
    """What models were asked, what it took, what it cost."""

    list_display = ("model", "outcome", "tenant", "took", "prompt_tokens", "completion_tokens", "cost", "started_at")
    list_filter = (TenantFilter,)
    list_select_related = ("tenant",)
    search_fields = ("model", "workflow_id", "error_class")
    ordering = ("-id",)

    @admin.display(description="outcome", ordering="error_class")
    def outcome(self, call: ModelCall) -> SafeString | str:
        return call.error_class or cells.badge("completed")

    @admin.display(description="took", ordering="latency_s")
    def took(self, call: ModelCall) -> str:
        return cells.duration(call.latency_s)

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, call: ModelCall) -> str:
        return cells.usd(call.cost_usd) if call.is_priced else "price not known"


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    """Prompts, drafts, files."""

    detail_template = "agentapp/artifact.html"
    list_display = ("name", "media_type", "tenant", "size", "created_at")
    list_filter = (TenantFilter,)
    list_select_related = ("tenant",)
    search_fields = ("id", "name", "workflow__id")
    ordering = ("-id",)

    def context(self, request: HttpRequest, record: Artifact) -> dict[str, Any]:
        return {"title": record.name, "shown_bytes": SHOWN_BYTES} | _text_of(record)


def _text_of(artifact: Artifact) -> dict[str, str]:
    """The artifact's text, or a sentence that says why there is none."""
    if not artifact.media_type.startswith(("text/", "application/json")):
        return {"missing": f"This is {artifact.media_type}: there is no text to show."}
    try:
        with artifacts.open_content(artifact) as file:
            return {"text": file.read(SHOWN_BYTES).decode("utf-8", errors="replace")}
    except (ContentMissing, Unavailable) as error:
        return {"missing": str(error)}
