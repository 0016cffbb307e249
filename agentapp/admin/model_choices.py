"""Model choices: which model the jobs of a tenant and a job type call, made and changed by superusers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import gates as gate_pages
from agentapp.admin import model_choice_form
from agentapp.admin.form_pages import PlatformFormAdmin
from agentapp.lifecycle.model_choices import target
from agentapp.models import ModelChoice
from agentapp.services import model_choices


@admin.register(ModelChoice)
class ModelChoiceAdmin(PlatformFormAdmin):
    """Keys are named here, and never shown."""

    read_scope: ClassVar[str] = model_choices.READ
    write_scope: ClassVar[str] = model_choices.WRITE
    service = model_choices
    layout = model_choice_form
    detail_template = "agentapp/model_choice.html"
    list_display = ("applies_to", "model_of", "fallback_of", "temperature", "max_output_tokens", "note")
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug", "job_type", "model", "fallback_model", "note")
    ordering = ("tenant__slug", "job_type")

    @admin.display(description="applies to", ordering="tenant__slug")
    def applies_to(self, choice: ModelChoice) -> SafeString:
        job_type = choice.job_type or "all job types"
        return format_html("{}<span class='reference'>{}</span>", choice.tenant or "all tenants", job_type)

    @admin.display(description="model", ordering="model")
    def model_of(self, choice: ModelChoice) -> str:
        return choice.limit_name

    @admin.display(description="fallback", ordering="fallback_model", empty_value="-")
    def fallback_of(self, choice: ModelChoice) -> str | None:
        return choice.fallback_limit_name or None

    def fresh(self, request: HttpRequest) -> ModelChoice:
        return ModelChoice(job_type=request.GET.get("job_type", "")[:100])

    def context(self, request: HttpRequest, record: ModelChoice) -> dict[str, Any]:
        return {
            "title": f"Model choice of {record}" if record.pk else "Add model choice",
            "changes": gate_pages.changes_of(target(record)) if record.pk else [],
        }

    def saved(self, request: HttpRequest, record: ModelChoice) -> None:
        messages.success(request, f"Saved: the model choice of {record} holds from the next claim on.")

    def deleted(self, record: ModelChoice) -> str:
        return f"The model choice of {record} is gone. The next one that fits holds in its place."
