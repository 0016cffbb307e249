"""The admin's first page: the numbers that tell whether somebody has to do something, then how the platform does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agentapp.admin import cells, operations, switches
from agentapp.admin.base import principal_of, visible_tenants
from agentapp.models import Approval, Job, WebhookEndpoint, Workflow
from agentapp.services import gates
from agentapp.services import operations as state
from agentapp.services.principals import Principal
from agentapp.states import TASK_ORIGINS

_NAMED_TENANTS = 10
# Jobs that wait, to tell the oldest of a tenant's.
MOST_LOOKED_AT = 1_000


def context(request: HttpRequest) -> dict[str, Any]:
    """What the first page shows to this visitor; `?period=` and `?drill=1` are the visitor's."""
    principal = principal_of(request)
    with_drill = request.GET.get("drill") == "1"
    shown = counts(principal, with_drill=with_drill) | {"request": request, "with_drill": with_drill}
    if gates.READ in principal.scopes:
        period = request.GET.get("period", "")
        offered = switches.Switches(principal, switches.typed(request))
        page = operations.page(principal, period=period, with_drill=with_drill, switches=offered)
        return shown | {"runs_platform": True} | page
    tenants = list(visible_tenants(request).values_list("slug", flat=True)[: _NAMED_TENANTS + 1])
    return shown | {
        "runs_platform": False, "tenants": tenants[:_NAMED_TENANTS], "more_tenants": len(tenants) > _NAMED_TENANTS,
        "username": principal.user.get_username() if principal.user else "",
    }  # fmt: skip


@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """The first page without its frame, for the script that refreshes it."""
    return render(request, "agentapp/overview.html", context(request))


refresh = admin.site.admin_view(fragment)


def counts(principal: Principal, *, with_drill: bool = False) -> dict[str, Any]:
    """Open tasks, approvals, dead letters, addresses that nothing arrives at, and the job that has waited longest."""

    def of(rows: QuerySet[Any]) -> QuerySet[Any]:
        visible = principal.visible(rows)
        return visible if with_drill else state.without_drill(visible)

    approvals = of(Approval.objects.filter(state="pending"))
    runs_platform = gates.READ in principal.scopes
    since, queue, is_cut = (*gates.oldest(principal), False) if runs_platform else _oldest_of(principal)
    return {
        "open_tasks": _told(state.capped(of(Workflow.objects.filter(finished_at=None, origin__in=TASK_ORIGINS)))),
        "approvals": _told(state.capped(approvals)),
        "overdue": state.overdue(approvals),
        "undecidable": state.undecidable(approvals),
        "dead_letters": _told(state.capped(of(Job.objects.filter(state="dead_lettered")))),
        "failing_webhooks": state.failing_webhooks(of(WebhookEndpoint.objects.all())),
        "oldest_job": cells.age(since) + (" or longer" if is_cut else "") if since else "none",
        "oldest_job_queue": queue,
    }


def _told(number: int) -> str:
    if number > state.MOST_COUNTED:
        return f"{state.MOST_COUNTED:,}+"
    return f"{number:,}" if number else ""


def _oldest_of(principal: Principal) -> tuple[datetime | None, str, bool]:
    """Since when the oldest waiting job of these tenants waits, where, and whether an older one may wait unseen.

    In two parts, each of which has an index. None knows an order by age, so of a long backlog only some are looked at.
    """
    found = [
        row for is_queued in (True, False) for row in
        principal.visible(Job.objects.filter(state="available", published_at__isnull=is_queued))
        .exclude(available_at=None).order_by().values_list("available_at", "queue")[:MOST_LOOKED_AT]
    ]  # fmt: skip
    return (*min(found, default=(None, "")), len(found) >= MOST_LOOKED_AT)
