"""Submit a task by a form."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from agentapp import flows
from agentapp.admin.base import principal_of, visible_tenants
from agentapp.console import schema_form
from agentapp.console.frame import for_people, page
from agentapp.errors import InvalidInput, NotFound, Overloaded, PermissionDenied
from agentapp.observability import tracing
from agentapp.policies import bounds, priority
from agentapp.services import kinds, workflows

MOST_TENANTS = 200


@for_people
@require_http_methods(["GET", "HEAD", "POST"])
def form(request: HttpRequest, kind: str) -> HttpResponse:
    """Show the form of a workflow kind, and submit it. What was entered stays when it is refused."""
    flow = kinds.get(kind)
    shown = schema_form.fields(flow.input.model_json_schema())
    if request.method != "POST":
        return _page(request, flow, shown)
    entered = schema_form.read(shown, request.POST.dict())
    if any(field.error for field in shown):
        return _page(request, flow, shown, status=422)
    try:
        with tracing.span("POST /console/new", {"http.request.method": "POST"}, kind="server") as span:
            task = workflows.submit(
                principal_of(request), kind=kind, input=entered, priority=request.POST.get("priority", "normal"),
                tenant_id=_tenant(request), traceparent=span.traceparent,
            )  # fmt: skip
            workflows.name_task(span, task)
    except InvalidInput as error:
        problems = schema_form.mark(shown, error.errors) if error.errors else [str(error)]
        return _page(request, flow, shown, problems=problems, status=422)
    except (Overloaded, NotFound, PermissionDenied) as error:
        status = 429 if isinstance(error, Overloaded) else 403
        return _page(request, flow, shown, problems=[str(error)], status=status)
    return redirect("console_task", task_id=task.pk)


def _tenant(request: HttpRequest) -> int | None:
    """The tenant that was chosen, or the only one that there is."""
    if "tenant" in request.POST:
        return bounds.whole(request.POST["tenant"], most=bounds.LARGEST_BIGINT)
    only = list(visible_tenants(request)[:2])
    return only[0].pk if len(only) == 1 else None


def _page(
    request: HttpRequest, flow: flows.Flow, shown: list[schema_form.Field], *, problems: Any = (), status: int = 200
) -> HttpResponse:
    tenants = list(visible_tenants(request)[:MOST_TENANTS])
    context = {
        "title": flow.title or flow.kind,
        "flow": flow,
        "fields": shown,
        "problems": problems,
        "plan": flows.told(flow),
        "drawing": flows.drawn(flow),
        "priorities": priority.NAMES,
        "priority": request.POST.get("priority", "normal"),
        "tenants": tenants if len(tenants) > 1 else [],
        "tenant": request.POST.get("tenant", ""),
        "schema": json.dumps(flow.input.model_json_schema(), ensure_ascii=False, indent=2),
    }
    return page(request, "console/new.html", context, status=status)
