"""Tasks: the list, and one page that tells what a run did, does and waits for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.paginator import Page
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp import clock, registry
from agentapp.admin import actors, cells, legal_holds, masking, notices, plan, timeline, tool_calls, traces, waits
from agentapp.admin.base import REFUSALS, DrillFilter, ReadOnlyAdmin, TenantFilter, page_of, principal_of, refuse
from agentapp.lifecycle import webhook_events
from agentapp.models import Attempt, Effect, History, Job, ModelCall, WebhookDelivery, Workflow
from agentapp.policies.counting import count
from agentapp.services import delivery_states, gates, memories, reasons, task_filters, workflows
from agentapp.services.principals import Principal
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
    change_list_template = "agentapp/tasks.html"
    masked_fields = {"input": masking.OBJECT, "result": masking.OBJECT}
    list_display = ("task", "state_badge", "why", "kind", "tenant", "progress", "age", "cost")
    list_filter = ("state", KindFilter, TenantFilter, "priority", DrillFilter)
    list_select_related = ("tenant",)
    # Django shows the field where there is something here.
    search_fields = ("id",)
    search_help_text = 'Words of input, result, error or labels, or an id. "a phrase", -without, begin*'
    ordering = ("-id",)

    @admin.display(description="task")
    def task(self, workflow: Workflow) -> SafeString:
        title = cells.headline(workflow.input) or workflow.kind
        return format_html('<bdi>{}</bdi><span class="reference">{}</span>', title, workflow.pk)

    @admin.display(description="state", ordering="state")
    def state_badge(self, workflow: Workflow) -> SafeString:
        return cells.badge(workflow.state)

    @admin.display(description="why it waits")
    def why(self, workflow: Workflow) -> SafeString | str:
        first, more = workflow.why  # type: ignore[attr-defined]
        return cells.cut(f"{first} And {count(more, 'more reason')}." if more else first) if first else "-"

    @admin.display(description="jobs done")
    def progress(self, workflow: Workflow) -> SafeString:
        return cells.progress(workflow.jobs_done, workflow.jobs_total)

    @admin.display(description="age", ordering="-id")
    def age(self, workflow: Workflow) -> SafeString:
        return cells.when(workflow.created_at)

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, workflow: Workflow) -> str:
        return cells.cost(workflow.cost_usd, workflow.unpriced_calls)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; its filters are those of a bulk cancellation, as far as that has them."""
        asked = {"state": "state__exact", "kind": "kind", "tenant": "tenant", "q": "q"}
        filters = {name: value for name, here in asked.items() if (value := request.GET.get(here))}
        shown = {"scopes": principal_of(request).scopes, "filtered": urlencode(filters)}
        return super().changelist_view(request, shown | (extra_context or {}))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        give_reasons(found.result_list)
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Workflow], search_term: str
    ) -> tuple[QuerySet[Workflow], bool]:
        """By words and ids, as the API does."""
        found = task_filters.saying(principal_of(request), queryset, search_term) if search_term else queryset
        return found, False

    def context(self, request: HttpRequest, record: Workflow) -> dict[str, Any]:
        jobs = Job.objects.filter(workflow=record).select_related("stage").prefetch_related("attempts")
        calls = ModelCall.objects.filter(workflow_id=record.pk, tenant=record.tenant_id).defer("answer", "exchange")
        history = History.objects.filter(workflow=record)
        return {
            "title": cells.headline(record.input) or record.kind,
            "waits": waits.of(record, with_limits=gates.READ in principal_of(request).scopes),
            "plan": page_of(request, "plan", plan.of(record), size=ROWS),
            "parts": workflows.listing(principal_of(request), parent=record.pk).order_by("id")[:MOST_PARTS],
            "notices": notices.of(record),
            "holds": legal_holds.shown(principal_of(request), record),
            "most_holds": legal_holds.MOST_SHOWN,
            "took": cells.duration(((record.finished_at or clock.now()) - record.created_at).total_seconds()),
            "timeline": timeline.draw(record),
            "jobs": page_of(request, "jobs", jobs.order_by("stage__position", "part", "id"), size=ROWS),
            "history": _named(page_of(request, "history", history.order_by("-seq"), size=ROWS)),
            "calls": _of_jobs(page_of(request, "calls", calls.order_by("started_at"), size=ROWS)),
            "tool_calls": tool_calls.of(request, record, size=ROWS),
            "approvals": page_of(
                request,
                "approvals",
                record.approvals.select_related("decided_by_user", "decided_by_key").order_by("id"),
                size=ROWS,
            ),
            "effects": Effect.objects.filter(workflow_id=record.pk, tenant=record.tenant_id).order_by("prepared_at"),
            "hold_url": legal_holds.link_for(principal_of(request), record),
            "is_masked": masking.hides(principal_of(request), record.tenant_id),
            "trace_id": traces.id_of(record),
            "trace_url": traces.url_of(record),
            "forks": workflows.forks(principal_of(request), record.pk)[:MOST_PARTS],
            "can_fork": "tasks:write" in principal_of(request).scopes,
            "facts": memories.written_from(principal_of(request), record)[:MOST_PARTS],
            "deliveries": _deliveries(principal_of(request), record),
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


def give_reasons(tasks: Iterable[Workflow]) -> None:
    """Give each task of a list `why`: the first sentence that says what it waits for, and how many there are more."""
    tasks = list(tasks)
    told = reasons.blocked_by([task for task in tasks if task.state not in WORKFLOW_FINAL])
    who = waits.names(reason for each in told.values() for reason in each)
    for task in tasks:
        said = waits.sentences(told.get(task.pk, []), tenant_id=task.tenant_id, with_limits=False, who=who)
        task.why = (said[0].words if said else "", len(said) - 1 if said else 0)  # type: ignore[attr-defined]


def _deliveries(principal: Principal, workflow: Workflow) -> list[tuple[WebhookDelivery, str]]:
    """What was told about a task, and what became of it."""
    if "webhooks:read" not in principal.scopes_in(workflow.tenant_id):
        return []
    rows = WebhookDelivery.objects.filter(event__workflow_id=workflow.pk, tenant=workflow.tenant_id)
    found = list(rows.select_related("event").order_by("-id")[:MOST_PARTS])
    reached = delivery_states.progress(found) if found else {}
    return [(delivery, reached[delivery.pk].state) for delivery in found if delivery.pk in reached]


def _of_jobs(page: Page[ModelCall]) -> Page[ModelCall]:
    """Give each call the type of its job."""
    types = dict(Job.objects.filter(pk__in={call.job_id for call in page}).values_list("id", "type"))
    for call in page:
        call.job_type = types.get(call.job_id, "") if call.job_id else ""  # type: ignore[attr-defined]
    return page


def _named(page: Page[History]) -> Page[History]:
    """Give each row its `subject`, the job's type or what else it is about, and `who` made the move."""
    types = dict(Job.objects.filter(pk__in=[row.job_id for row in page if row.job_id]).values_list("id", "type"))
    actors.give_names(page)
    for row in page:
        noun = "task" if row.noun == "workflow" else row.noun
        row.subject = types.get(row.job_id, noun) if row.job_id else noun  # type: ignore[attr-defined]
    return page
