"""Dead letters: what failed for good, why, and the three ways on: replay, edit and replay, cancel."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Max, Min, QuerySet
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import cells
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, principal_of, refuse
from agentapp.errors import InvalidInput
from agentapp.models import Job
from agentapp.services import dead_letters

_MOST_GROUPS = 20


class DeadLetter(Job):
    """A job in the state dead_lettered: a page of its own in the admin, no table of its own."""

    class Meta:
        proxy = True
        verbose_name = "dead letter"


class TypeFilter(admin.SimpleListFilter):
    """By job type, offering those of which there are dead letters."""

    title = "job type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        types = model_admin.get_queryset(request).order_by("type").values_list("type", flat=True).distinct()
        return [(name, name) for name in types]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return queryset.filter(type=self.value()) if self.value() else queryset


class ReasonFilter(admin.SimpleListFilter):
    """By the class of the last error."""

    title = "error"
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = model_admin.get_queryset(request).annotate(name=KT("error__class")).order_by("name")
        return [(name, name) for name in found.values_list("name", flat=True).distinct() if name]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return queryset.filter(error__class=self.value()) if self.value() else queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Jobs that a person must replay or cancel."""

    detail_template = "agentapp/dead_letter.html"
    change_list_template = "agentapp/dead_letters.html"
    list_display = ("type", "reason", "message", "attempts_made", "tenant", "dead_for")
    list_filter = (TypeFilter, ReasonFilter, TenantFilter)
    list_select_related = ("tenant",)
    search_fields = ("id", "workflow__id", "error")
    search_help_text = "The id of a job or task, or words of the error."
    ordering = ("-finished_at",)
    actions = ("replay",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).filter(state="dead_lettered")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return "dead_letters:write" in principal_of(request).scopes

    @admin.display(description="error")
    def reason(self, job: Job) -> SafeString:
        error = job.error or {}
        return format_html("{}<span class='reference'>{}</span>", error.get("class", "-"), error.get("kind", ""))

    @admin.display(description="message")
    def message(self, job: Job) -> str:
        return cells.headline((job.error or {}).get("message", ""), limit=140)

    @admin.display(description="attempts", ordering="attempt")
    def attempts_made(self, job: Job) -> str:
        return f"{job.attempt} of {job.max_attempts}"

    @admin.display(description="dead for", ordering="-finished_at")
    def dead_for(self, job: Job) -> str:
        return cells.age(job.finished_at)

    @admin.action(description="Replay the selected dead letters", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        replayed = 0
        for job in queryset:
            try:
                dead_letters.replay(principal_of(request), job.pk)
                replayed += 1
            except REFUSALS as error:
                self.message_user(request, f"{job}: {error}", messages.WARNING)
        if replayed:
            self.message_user(request, f"{replayed} replayed: each has a fresh budget of attempts.", messages.SUCCESS)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, (extra_context or {}) | {"groups": self.groups(request)})

    def groups(self, request: HttpRequest) -> list[dict[str, Any]]:
        """Equal failures together, most frequent first: one cause seldom hits one job alone."""
        rows = self.get_queryset(request).annotate(error_class=KT("error__class"), message=KT("error__message"))
        counted = (
            rows.order_by()
            .values("type", "error_class", "message")
            .annotate(count=Count("pk"), first=Min("finished_at"), last=Max("finished_at"))
        )
        return [dict(group) for group in counted.order_by("-count", "type")[:_MOST_GROUPS]]

    def context(self, request: HttpRequest, record: Job) -> dict[str, Any]:
        return {
            "title": f"{record.type}: {(record.error or {}).get('class', 'dead letter')}",
            "workflow": record.workflow,
            "attempts": record.attempts.order_by("started_at"),
            "payload": cells.pretty(record.payload),
            "can_replay": self.has_replay_permission(request),
        }

    def act(self, request: HttpRequest, record: Job) -> HttpResponse:
        action, text = request.POST.get("action", ""), request.POST.get("payload", "")
        reason = request.POST.get("reason", "").strip()
        principal = principal_of(request)
        try:
            if action == "cancel":
                dead_letters.cancel(principal, record.pk, reason=reason)
                messages.success(request, "The task was cancelled.")
            elif action in {"replay", "edit"}:
                dead_letters.replay(principal, record.pk, payload=_parsed(text) if action == "edit" else None)
                messages.success(request, "Replayed: the job has a fresh budget of attempts, its history is kept.")
            else:
                raise InvalidInput("Choose one of the three: replay, edit and replay, cancel the task.")
        except REFUSALS as error:
            status = refuse(request, error)
            return self.page(request, record, status=status, action=action, payload=text, reason=reason)
        return redirect(reverse("admin:agentapp_workflow_change", args=(record.workflow_id,)))


def _parsed(text: str) -> dict[str, Any]:
    """Read an edited payload.

    Raises:
        InvalidInput: it is no JSON object; the sentence says where it breaks.
    """
    try:
        payload = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"The payload is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}. Mend it there."
        ) from error
    if not isinstance(payload, dict):
        raise InvalidInput('The payload must be a JSON object, such as {"question": "..."}.')
    return payload
