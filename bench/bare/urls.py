"""One view, which trusts everybody."""

from __future__ import annotations

import json

from django.http import HttpRequest, JsonResponse
from django.urls import path

from agentapp import flows, registry
from agentapp.ids import uuid7
from agentapp.lifecycle import database
from agentapp.lifecycle.submit import marks
from agentapp.models import Tenant

PLANS: dict[str, tuple[list[dict[str, object]], dict[str, object], int]] = {}


def submit(request: HttpRequest) -> JsonResponse:
    """Store what was sent as a task, by the statement that stores every task."""
    wanted = json.loads(request.body)
    stages, result, tenant = _plan(wanted["kind"])
    task = uuid7()
    answer = database.call(
        "submit", id=task, tenant=tenant, api_key=None, user=None, actor="bench", kind=wanted["kind"], version=1,
        priority=2, input=wanted["input"], labels={}, stages=database.Jsonb(stages), result_bind=result,
        deadline_s=None, **marks(),
    )  # fmt: skip
    return JsonResponse({"id": str(task), "state": answer["state"]}, status=202)


def _plan(kind: str) -> tuple[list[dict[str, object]], dict[str, object], int]:
    if kind not in PLANS:
        flow = registry.latest_flow(kind)
        assert flow is not None
        PLANS[kind] = (flows.plan(flow), flows.paths_of(flow.result), Tenant.objects.get(slug="demo").pk)
    return PLANS[kind]


urlpatterns = [path("tasks", submit)]
