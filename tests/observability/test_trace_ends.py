"""Where a trace begins, and what ends a wait in it. [H2]"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agentapp import clock as clock_module
from agentapp.dispatch import timekeeper
from agentapp.mcp_server import tools
from agentapp.mcp_server.arguments import SubmitTask
from agentapp.models import Approval, Tenant, Workflow
from agentapp.services import schedule_runs, schedules
from agentapp.services.principals import Principal
from tests.admin.conftest import Start
from tests.admin.conftest import start as start
from tests.harness import drain
from tests.observability.test_traces import Spans, id_of, parent_of, told, trace_of
from tests.observability.test_traces import spans as spans

pytestmark = pytest.mark.django_db

DAILY = {"name": "daily", "kind": "probe_fan", "input": {"parts": [1]}, "cron": "0 0 * * *"}


def test_each_way_to_start_a_task_begins_its_trace(
    principal: Principal, tenant: Tenant, client: Client, spans: Spans
) -> None:
    person = User.objects.create(username="root", is_staff=True, is_superuser=True)
    client.force_login(person)
    client.post("/console/new/probe_fan/", {"parts": "[1]", "tenant": tenant.pk})
    tools.submit_task(principal, SubmitTask.model_validate({"kind": "probe_fan", "input": {"parts": [1]}}))
    schedule_runs.start_now(schedules.create(principal, DAILY), principal)

    roots = [*spans.named("POST /console/new"), *spans.named("tools/call submit_task"), *spans.named("schedule")]
    tasks = list(Workflow.objects.order_by("pk"))
    assert [told(root)["agentapp.task.id"] for root in roots] == [str(task.pk) for task in tasks] and len(tasks) == 3
    assert [root.kind.name for root in roots] == ["SERVER", "SERVER", "INTERNAL"]
    for root, task in zip(roots, tasks, strict=True):
        drain(task)
        jobs = [span for span in spans.all() if told(span).get("agentapp.task.id") == str(task.pk) and span is not root]
        assert jobs and {(trace_of(span), parent_of(span)) for span in jobs} == {(trace_of(root), id_of(root))}


def test_an_approval_that_expires_is_a_span_and_one_that_was_decided_before_is_told_once(
    start: Start, spans: Spans, clock: clock_module.Clock
) -> None:
    run = start()
    clock.advance(30 * 86_400)
    Approval.objects.update(expires_at=clock.now())
    assert timekeeper.expire_overdue() == 1

    (waited,) = spans.named("approval")
    assert told(waited)["agentapp.approval.state"] == run.approvals.get().state == "expired"
    assert (trace_of(waited), parent_of(waited)) == (run.pk.hex, run.pk.hex[16:])
    assert waited.end_time and waited.start_time and waited.end_time - waited.start_time == 30 * 86_400 * 10**9
    late = start()
    Approval.objects.filter(workflow=late).update(state="approved", decided_at=clock.now() - timedelta(seconds=1))
    Workflow.objects.filter(pk=late.pk).update(deadline_at=clock.now())
    assert timekeeper.expire_overdue() == 1
    assert spans.named("approval") == [waited]
