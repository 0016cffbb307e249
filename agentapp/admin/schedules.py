"""Tasks that begin by the clock: pages that show, make, change, pause and run schedules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import cells, form, schedule_form
from agentapp.admin.base import REFUSALS, TenantFilter, model_page, page_of, principal_of, refuse, visible_tenants
from agentapp.admin.form_pages import FormAdmin
from agentapp.errors import Overloaded
from agentapp.lifecycle.submit import NamedRequest
from agentapp.models import Schedule, Workflow
from agentapp.policies import bounds
from agentapp.policies.schedules import zone_of
from agentapp.services import schedules
from agentapp.states import ScheduleRunOutcome

TONES = {
    ScheduleRunOutcome.STARTED: "good", ScheduleRunOutcome.SKIPPED: "quiet", ScheduleRunOutcome.FAILED: "bad",
}  # fmt: skip
ROWS = 25
ACTIONS = ("run", "pause", "resume", "delete")


def _named(request: HttpRequest, record: Schedule) -> NamedRequest | None:
    """What the page that was shown calls this request, so that a button pressed twice starts one task."""
    try:
        name = UUID(request.POST.get("request", ""))
    except ValueError:
        return None
    return NamedRequest(f"admin {name}", f"run {record.pk}")


@admin.register(Schedule)
class ScheduleAdmin(FormAdmin):
    """What is started by the clock, and when it is next."""

    read_scope = schedules.READ
    layout = schedule_form
    detail_template = "agentapp/schedule.html"
    masks_page = True
    list_display = ("name", "state", "tenant", "kind", "timing", "next_time")
    list_filter = ("is_paused", TenantFilter)
    list_select_related = ("tenant",)
    search_fields = ("name", "kind")
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return {schedules.WRITE, "tasks:write"} <= principal_of(request).scopes

    @admin.display(description="state", ordering="is_paused")
    def state(self, schedule: Schedule) -> SafeString:
        return badge(schedule)

    @admin.display(description="when")
    def timing(self, schedule: Schedule) -> SafeString | str:
        if schedule.every_s:
            return f"every {cells.duration(schedule.every_s)}"
        return format_html("<code>{}</code> {}", schedule.cron, schedule.timezone)

    @admin.display(description="next", ordering="next_at")
    def next_time(self, schedule: Schedule) -> SafeString:
        return time_of(schedule, schedule.next_at)

    def fresh(self, request: HttpRequest) -> Schedule:
        return schedule_form.fresh()

    def groups(
        self, request: HttpRequest, record: Schedule, entered: Mapping[str, str], errors: Mapping[str, str]
    ) -> Any:
        shown = visible_tenants(request) if record._state.adding else ()
        return schedule_form.groups(entered, errors, tenants=[(str(tenant.pk), tenant.slug) for tenant in shown])

    def context(self, request: HttpRequest, record: Schedule) -> dict[str, Any]:
        if record._state.adding:
            return {"title": "Add schedule"}
        runs = page_of(request, "runs", schedules.runs(principal_of(request), record.pk), size=ROWS)
        return {
            "title": record.name, "state": badge(record), "runs": runs,
            "upcoming": [time_of(record, moment) for moment in schedules.upcoming(record)],
            "shown": [(run, cells.badge(run.outcome, TONES[ScheduleRunOutcome(run.outcome)])) for run in runs],
            "task_page": model_page(Workflow, "change"), "request_name": uuid4(),
        }  # fmt: skip

    def act(self, request: HttpRequest, record: Schedule) -> HttpResponse:
        principal, wanted = principal_of(request), request.POST.get("action", "save")
        if wanted == "save":
            return self.save(request, record)
        if wanted not in ACTIONS:
            raise Forbidden
        try:
            if wanted == "run":
                run = schedules.run(principal, record.pk, _named(request, record))
                messages.success(request, "A task was started. This is its page.")
                return redirect(model_page(Workflow, "change"), run.pk)
            if wanted == "delete":
                schedules.delete(principal, record.pk, as_read=form.as_read(request.POST))
                messages.success(request, f"The schedule {record.name} is deleted. Its tasks stay.")
                return redirect(model_page(Schedule, "changelist"))
            schedules.change(principal, record.pk, {"is_paused": wanted == "pause"})
        except (*REFUSALS, Overloaded) as error:
            return self.page(request, record, status=refuse(request, error))
        goes_on = "Resumed. Times that passed meanwhile are not made up for."
        messages.success(request, "Paused." if wanted == "pause" else goes_on)
        return redirect(request.path)

    def save(self, request: HttpRequest, record: Schedule) -> HttpResponse:
        entered, principal = form.typed(request.POST, self.layout.NAMES), principal_of(request)
        try:
            given = schedule_form.values(entered)
            if record._state.adding:
                tenant_id = bounds.whole(entered["tenant"], most=bounds.LARGEST_BIGINT) or 0
                tenant = visible_tenants(request).filter(pk=tenant_id).values_list("pk", flat=True).first()
                saved = schedules.create(principal, given, tenant_id=tenant)
            else:
                saved = schedules.change(principal, record.pk, given, as_read=form.as_read(request.POST))
        except REFUSALS as error:
            return self.not_saved(request, record, error, entered)
        messages.success(request, f"Saved: {saved.name}.")
        return redirect(model_page(Schedule, "change"), saved.pk)


def time_of(schedule: Schedule, moment: datetime | None) -> SafeString:
    """One of its times as the clock in its time zone shows it, and how long that is from now."""
    if moment is None:
        return SafeString("-")
    local = moment.astimezone(zone_of(schedule.timezone))
    return format_html(
        '<time datetime="{}" title="{}">{}</time> {}', moment.isoformat(), cells.exact(moment),
        f"{local:%a %Y-%m-%d %H:%M} {schedule.timezone}", cells.until(moment),
    )  # fmt: skip


def badge(schedule: Schedule) -> SafeString:
    if schedule.is_paused:
        return cells.badge("paused", "bad" if schedule.paused_reason else "quiet")
    return cells.badge("active", "good")
