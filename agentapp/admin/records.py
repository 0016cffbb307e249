"""What has no life of its own here: effects, model calls and artifacts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agentapp.admin import cells
from agentapp.admin.base import ReadOnlyAdmin, TenantFilter
from agentapp.errors import ContentMissing, Unavailable
from agentapp.models import Artifact, Effect, ModelCall
from agentapp.services import artifacts

# An artifact's page shows this much of it, in bytes; more would make the browser slow.
SHOWN_BYTES = 200_000


@admin.register(Effect)
class EffectAdmin(ReadOnlyAdmin):
    """Writes to the outside world."""

    masks_page = True
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

    masks_page = True
    list_display = ("model", "outcome", "tenant", "took", "prompt_tokens", "completion_tokens", "cost", "started_at")
    list_filter = (TenantFilter,)
    list_select_related = ("tenant",)
    search_fields = ("model", "workflow_id", "error_class")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelCall]:
        # It may be long, and a list does not show it.
        return super().get_queryset(request).defer("answer")

    @admin.display(description="outcome", ordering="error_class")
    def outcome(self, call: ModelCall) -> SafeString | str:
        return call.error_class or cells.badge("completed")

    @admin.display(description="took", ordering="latency_s")
    def took(self, call: ModelCall) -> str:
        return cells.duration(call.latency_s)

    @admin.display(description="prompts")
    def asked_with(self, call: ModelCall) -> str:
        return ", ".join(call.prompts) or "-"

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, call: ModelCall) -> str:
        return cells.usd(call.cost_usd) if call.is_priced else "price not known"


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    """Prompts, drafts, files."""

    detail_template = "agentapp/artifact.html"
    masks_page = True
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
