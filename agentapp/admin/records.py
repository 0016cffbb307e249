"""What has no life of its own here: effects, model calls and artifacts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agentapp.admin import cells
from agentapp.admin.base import DrillFilter, ReadOnlyAdmin, TenantFilter
from agentapp.errors import ContentMissing, Unavailable
from agentapp.models import Artifact, Effect, Job, ModelCall
from agentapp.services import artifacts

# An artifact's page shows this much of it, in bytes; more would make the browser slow.
SHOWN_BYTES = 200_000
# Of one job.
MOST_ARTIFACTS = 50


@admin.register(Effect)
class EffectAdmin(ReadOnlyAdmin):
    """Writes to the outside world."""

    masks_page = True
    list_display = ("type", "state_badge", "key", "tenant", "sends", "prepared_at", "confirmed_at")
    list_filter = ("state", "type", TenantFilter, DrillFilter)
    list_select_related = ("tenant",)
    search_fields = ("key", "workflow_id")
    ordering = ("-id",)

    @admin.display(description="state", ordering="state")
    def state_badge(self, effect: Effect) -> SafeString:
        return cells.badge(effect.state)


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnlyAdmin):
    """What models were asked, what it took, what it cost."""

    detail_template = "agentapp/model_call.html"
    masks_page = True
    list_display = ("model", "outcome", "tenant", "took", "prompt_tokens", "completion_tokens", "cost", "started_at")
    list_filter = (TenantFilter, DrillFilter)
    list_select_related = ("tenant",)
    search_fields = ("model", "workflow_id", "error_class")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelCall]:
        # They may be long, and a list does not show them.
        return super().get_queryset(request).defer("answer", "exchange")

    def context(self, request: HttpRequest, record: ModelCall) -> dict[str, Any]:
        mine = {"job_id": record.job_id, "tenant": record.tenant_id}
        return {
            "title": f"Call of {record.asked_model or record.model}",
            "job": Job.objects.filter(pk=record.job_id, tenant=record.tenant_id).first() if record.job_id else None,
            "artifacts": Artifact.objects.filter(**mine).order_by("id")[:MOST_ARTIFACTS] if record.job_id else [],
            "exchange": _with_lengths(record.exchange),
        }

    @admin.display(description="outcome", ordering="error_class")
    def outcome(self, call: ModelCall) -> SafeString | str:
        return call.error_class or cells.badge("completed")

    @admin.display(description="took", ordering="latency_s")
    def took(self, call: ModelCall) -> str:
        return cells.duration(call.latency_s)

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, call: ModelCall) -> str:
        return cells.usd(call.cost_usd) if call.is_priced else "price not known"


def _with_lengths(exchange: Any) -> Any:
    """What was kept of a call, with the length of each message."""
    for message in (exchange or {}).get("messages", ()):
        message["length"] = len(message["text"])
    return exchange


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    """Prompts, drafts, files."""

    detail_template = "agentapp/artifact.html"
    masks_page = True
    list_display = ("name", "media_type", "tenant", "size", "created_at")
    list_filter = (TenantFilter, DrillFilter)
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
