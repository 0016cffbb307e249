"""Dead letters: what failed for good, why, and what can be done: replay, go back, finish by hand, cancel."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import bulk_replays, cells, letter_page, trend
from agentapp.admin.base import (
    REFUSALS,
    DrillFilter,
    ReadOnlyAdmin,
    TenantFilter,
    principal_of,
    refuse,
    with_drill,
)
from agentapp.ids import parsed
from agentapp.models import Job
from agentapp.services import dead_letters, letter_groups

_MOST_GROUPS = 20
# Of a message in the list, most of which is cut by an ellipsis.
_MOST_OF_MESSAGE = 500


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


class KindFilter(admin.SimpleListFilter):
    """By fingerprint: the groups above the list lead here. Only the one that is chosen is offered."""

    title = "fingerprint"
    parameter_name = "fingerprint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name, "")[:100]
        return [(chosen, chosen)] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return letter_groups.alike(queryset, fingerprint=self.value() or "") if self.value() else queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Jobs that a person must replay, finish by hand or give up."""

    detail_template = "agentapp/dead_letter.html"
    masks_page = True
    change_list_template = "agentapp/dead_letters.html"
    list_display = ("type", "reason", "message", "attempts_made", "tenant", "dead_for")
    list_filter = (KindFilter, TypeFilter, ReasonFilter, TenantFilter, DrillFilter)
    list_select_related = ("tenant",)
    search_fields = ("id", "workflow__id", "error")
    search_help_text = "The id of a job or task, or words of the error."
    ordering = ("-finished_at",)
    actions = ("replay", "replay_kind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).filter(state="dead_lettered")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return "dead_letters:write" in principal_of(request).scopes

    @admin.display(description="error")
    def reason(self, job: Job) -> SafeString:
        error = job.error or {}
        return format_html("{}<span class='reference'>{}</span>", error.get("class", "-"), error.get("kind", ""))

    @admin.display(description="message")
    def message(self, job: Job) -> SafeString:
        return cells.cut(cells.headline((job.error or {}).get("message", ""), limit=_MOST_OF_MESSAGE))

    @admin.display(description="attempts", ordering="attempt")
    def attempts_made(self, job: Job) -> str:
        return f"{job.attempt} of {job.max_attempts}"

    @admin.display(description="failed", ordering="-finished_at")
    def dead_for(self, job: Job) -> SafeString:
        return cells.when(job.finished_at)

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
            self.message_user(request, f"{replayed} replayed: each has all its attempts again.", messages.SUCCESS)

    @admin.action(description="Replay all of this kind", permissions=["replay"])
    def replay_kind(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        kinds = {letter_groups.fingerprint_of(job) for job in queryset}
        if len(kinds) > 1:
            self.message_user(
                request, "These failed in different ways. Select dead letters of one kind.", messages.WARNING
            )
            return None
        return redirect(bulk_replays.start_page(kinds.pop()))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with equal failures together above it: one cause seldom hits one job alone."""
        found = dead_letters.groups(principal_of(request), with_drill=with_drill(request))
        groups = {
            "groups": [(group, trend.of(group)) for group in found[:_MOST_GROUPS]],
            "more_groups": len(found[_MOST_GROUPS:]),
            "can_replay": self.has_replay_permission(request),
        }
        return super().changelist_view(request, (extra_context or {}) | groups)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who comes too late is told what became of the letter, on the page of its task."""
        record = self.get_object(request, unquote(object_id))
        job_id = None if record else parsed(object_id)
        job = principal_of(request).visible(Job.objects.filter(pk=job_id)).first() if job_id else None
        if job is None or not self.has_view_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        messages.warning(request, f"This is no dead letter any more: {letter_page.fate(job)}.")
        return redirect(reverse("admin:agentapp_workflow_change", args=(job.workflow_id,)))

    def context(self, request: HttpRequest, record: Job) -> dict[str, Any]:
        place = letter_groups.place_of(self.get_queryset(request), record)
        return letter_page.context(request, record, can_replay=self.has_replay_permission(request)) | {"place": place}

    def act(self, request: HttpRequest, record: Job) -> HttpResponse:
        """Do what one of the forms asks for, and open the next of the group. What is refused stays as it was typed."""
        posted = request.POST.dict()
        try:
            letter_page.act(principal_of(request), record, posted)
        except REFUSALS as error:
            typed = letter_page.typed(record, posted, error)
            return self.page(request, record, status=refuse(request, error), **typed)
        task = reverse("admin:agentapp_workflow_change", args=(record.workflow_id,))
        if posted["action"] == "notify":
            messages.success(request, letter_page.DONE["notify"])
            return redirect(request.path)
        following = letter_groups.place_of(self.get_queryset(request), record).following
        done = letter_page.DONE[posted["action"]]
        messages.success(request, format_html('{} <a href="{}">Its task</a>', done, task))
        if following is None:
            return redirect(task)
        return redirect(reverse("admin:agentapp_deadletter_change", args=(following.pk,)))
