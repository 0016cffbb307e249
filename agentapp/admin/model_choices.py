"""Model choices: which model the jobs of a tenant and a job type call, made and changed by superusers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import form, model_choice_form
from agentapp.admin import gates as gate_pages
from agentapp.admin.base import REFUSALS, model_page, principal_of, refuse
from agentapp.admin.platform import PlatformAdmin
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle.model_choices import target
from agentapp.models import GateChange, ModelChoice
from agentapp.services import model_choices

_SHOWN_CHANGES = 5


@admin.register(ModelChoice)
class ModelChoiceAdmin(PlatformAdmin):
    """Keys are named here, and never shown."""

    read_scope: ClassVar[str] = model_choices.READ
    write_scope: ClassVar[str] = model_choices.WRITE
    detail_template = "agentapp/model_choice.html"
    list_display = ("applies_to", "model_of", "fallback_of", "temperature", "max_output_tokens", "note")
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug", "job_type", "model", "fallback_model", "note")
    ordering = ("tenant__slug", "job_type")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_write_permission(request)

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

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        fresh = ModelChoice(job_type=request.GET.get("job_type", "")[:100])
        return self._save(request, fresh) if request.method == "POST" else self.page(request, fresh)

    def page(self, request: HttpRequest, record: ModelChoice, *, status: int = 200, **typed: Any) -> HttpResponse:
        """The form, with what was typed and what is wrong with it when the service refused it."""
        entered, errors = typed.get("entered") or model_choice_form.of_choice(record), typed.get("errors") or {}
        changes = GateChange.objects.filter(target=target(record))[:_SHOWN_CHANGES] if record.pk else []
        title = f"Model choice of {record}" if record.pk else "Add model choice"
        context = self.page_context(request, title) | {
            "original": record if record.pk else None,
            "as_read": typed.get("as_read"),
            "groups": model_choice_form.groups(entered, errors),
            "wrong": [(name, message) for name, message in errors.items() if name not in model_choice_form.NAMES],
            "changes": gate_pages.named(changes),
            "can_write": self.has_write_permission(request),
        }
        return TemplateResponse(request, self.detail_template, context, status=status)

    def act(self, request: HttpRequest, record: ModelChoice) -> HttpResponse:
        if request.POST.get("action") != "delete":
            return self._save(request, record)
        try:
            reason, as_read = request.POST.get("reason", ""), form.as_read(request.POST)
            model_choices.delete(principal_of(request), record, reason=reason, as_read=as_read)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, f"The model choice of {record} is gone. The next one that fits holds in its place.")
        return redirect(model_page(ModelChoice, "changelist"))

    def _save(self, request: HttpRequest, choice: ModelChoice) -> HttpResponse:
        entered, as_read = model_choice_form.typed(request.POST), form.as_read(request.POST)
        values = model_choice_form.values(entered)
        try:
            saved = model_choices.save(principal_of(request), choice, values, reason=entered["reason"], as_read=as_read)
        except InvalidInput as error:
            errors = {item["field"]: item["message"] for item in error.errors}
            messages.error(request, "Nothing was saved. Correct what is marked.")
            seen = form.seen(request.POST)
            return self.page(request, choice, status=422, entered=entered, errors=errors, as_read=seen)
        except IllegalMove as error:
            choice = ModelChoice.objects.filter(pk=choice.pk).first() or choice
            errors = form.saved_meanwhile(entered, model_choice_form.of_choice(choice))
            return self.page(request, choice, status=refuse(request, error), entered=entered, errors=errors)
        except REFUSALS as error:
            return self.page(request, choice, status=refuse(request, error), entered=entered)
        messages.success(request, f"Saved: the model choice of {saved} holds from the next claim on.")
        return redirect(model_page(ModelChoice, "change"), saved.pk)
