"""Tasks: the list, and one page that tells what a run did, does and waits for."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Page
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp import clock, registry
from agentapp.admin import actors, cells, masking, timeline, waits
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, page_of, principal_of, refuse
from agentapp.lifecycle import webhook_events
from agentapp.models import Attempt, Effect, History, Job, ModelCall, Workflow
from agentapp.services import gates, reasons, task_filters, workflows
from agentapp.states import WORKFLOW_FINAL, JobState, Origin

MOST_PARTS = 50
ROWS = 50


class KindFilter(admin.SimpleListFilter):
    """By workflow kind; the registry knows them, so that no query over all tasks is needed."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in (*registry.kinds(), webhook_events.KIND)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        # Deliveries would hide what people look for; their own pages lead to them.
        return queryset.filter(kind=self.value()) if self.value() else queryset.exclude(origin=Origin.WEBHOOK)


@admin.register(Workflow)
class TaskAdmin(ReadOnlyAdmin):
    """Every run that a client asked for, newest first."""

    detail_template = "agentapp/task.html"
    masked_fields = {"input": masking.OBJECT, "result": masking.OBJECT}
    list_display = ("task", "state_badge", "kind", "tenant", "priority", "progress", "age", "cost")
    list_filter = ("state", KindFilter, TenantFilter, "priority")
    list_select_related = ("tenant",)
    # Django shows the field where there is something here.
    search_fields = ("id",)
    search_help_text = 'Words of input, result, error or labels, or an id. "a phrase", -without, begin*'
    ordering = ("-id",)

    @admin.display(description="task")
    def task(self, workflow: Workflow) -> SafeString:
        title = cells.headline(workflow.input) or workflow.kind
        return format_html('{}<span class="reference">{}</span>', title, workflow.pk)

    @admin.display(description="state", ordering="state")
    def state_badge(self, workflow: Workflow) -> SafeString:
        return cells.badge(workflow.state)

    @admin.display(description="jobs done")
    def progress(self, workflow: Workflow) -> SafeString:
        return cells.progress(workflow.jobs_done, workflow.jobs_total)

    @admin.display(description="age", ordering="-id")
    def age(self, workflow: Workflow) -> SafeString:
        return cells.when(workflow.created_at)

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, workflow: Workflow) -> str:
        return cells.cost(workflow.cost_usd, workflow.unpriced_calls)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Workflow], search_term: str
    ) -> tuple[QuerySet[Workflow], bool]:
        """By words and ids, as the API does."""
        found = task_filters.saying(principal_of(request), queryset, search_term) if search_term else queryset
        return found, False

    def context(self, request: HttpRequest, record: Workflow) -> dict[str, Any]:
        jobs = Job.objects.filter(workflow=record).select_related("stage").prefetch_related("attempts")
        calls = ModelCall.objects.filter(workflow_id=record.pk, tenant=record.tenant_id).defer("answer")
        history = History.objects.filter(workflow=record)
        return {
            "title": cells.headline(record.input) or record.kind,
            "waits": waits.sentences(
                reasons.blocked_by([record])[record.pk],
                tenant_id=record.tenant_id,
                with_limits=gates.READ in principal_of(request).scopes,
            ),
            "parts": workflows.listing(principal_of(request), parent=record.pk).order_by("id")[:MOST_PARTS],
            "took": cells.duration(((record.finished_at or clock.now()) - record.created_at).total_seconds()),
            "timeline": timeline.draw(record),
            "jobs": page_of(request, "jobs", jobs.order_by("stage__position", "part", "id"), size=ROWS),
            "history": _named(page_of(request, "history", history.order_by("-seq"), size=ROWS)),
            "calls": page_of(request, "calls", calls.order_by("started_at"), size=ROWS),
            "approvals": record.approvals.select_related("decided_by_user", "decided_by_key").order_by("id"),
            "effects": Effect.objects.filter(workflow_id=record.pk, tenant=record.tenant_id).order_by("prepared_at"),
            "artifacts": page_of(request, "artifacts", record.artifacts.order_by("id"), size=ROWS),
            "attempts_made": Attempt.objects.filter(job__workflow=record).count()
            + Job.objects.filter(workflow=record, state=JobState.RUNNING).count(),
            "can_cancel": record.state not in WORKFLOW_FINAL and "tasks:write" in principal_of(request).scopes,
        }

    def act(self, request: HttpRequest, record: Workflow) -> HttpResponse:
        """Cancel, the only thing that can be done to a task here."""
        reason = request.POST.get("reason", "").strip()
        try:
            workflows.cancel(principal_of(request), record.pk, reason=reason)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error), reason=reason)
        messages.success(request, "The task was cancelled. What was done before can still be read below.")
        return redirect(request.path)


def _named(page: Page[History]) -> Page[History]:
    """Give each row its `subject`, the job's type or what else it is about, and `who` made the move."""
    types = dict(Job.objects.filter(pk__in=[row.job_id for row in page if row.job_id]).values_list("id", "type"))
    actors.give_names(page)
    for row in page:
        noun = "task" if row.noun == "workflow" else row.noun
        row.subject = types.get(row.job_id, noun) if row.job_id else noun  # type: ignore[attr-defined]
    return page
