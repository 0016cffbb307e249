"""What a look, a page or a table costs does not grow with what does not concern it: rows are counted, not seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django_celery_results.models import TaskResult

from agentapp.admin import overview
from agentapp.dispatch import pruner
from agentapp.dispatch.stager import Stager
from agentapp.models import GateChange, Job, Limit, Tenant, Workflow
from agentapp.services import reasons, workflows
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain

IDLE = 50


@contextmanager
def rows() -> Iterator[list[tuple[int, str]]]:
    """How many rows each statement in the block answered with, and its text."""
    found: list[tuple[int, str]] = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = execute(sql, params, many, context)
        found.append((context["cursor"].rowcount, sql))
        return result

    with connection.execute_wrapper(count):
        yield found


def idle_tenants() -> None:
    for number in range(IDLE):
        tenant = Tenant.objects.create(slug=f"idle-{number}", name="Idle", weight=2)
        Limit.objects.create(key=f"tenant:{tenant.pk}", scope="tenant", name=tenant.slug, concurrency=1)


def test_a_look_tells_the_limits_of_who_waits(principal: Principal, tenant: Tenant) -> None:
    idle_tenants()
    Tenant.objects.filter(pk=tenant.pk).update(weight=3)
    workflow = workflows.submit(principal, kind="probe_loop", input={})
    Job.objects.filter(workflow=workflow).update(published_at=None, publishes=0)
    Limit.objects.update_or_create(
        key=f"tenant:{tenant.pk}", defaults={"scope": "tenant", "name": tenant.slug, "concurrency": 7}
    )

    backlog = Stager().look()

    assert {limit.key: limit.concurrency for limit in backlog.limits if limit.key.startswith("tenant:")} == {
        f"tenant:{tenant.pk}": 7
    }
    assert backlog.weights == {tenant.pk: 3}


def test_a_key_that_nobody_waits_for_any_more_is_told_once_more(principal: Principal) -> None:
    """Otherwise it would hold new jobs back forever."""
    Limit.objects.create(key="tenant:4711", scope="tenant", name="gone", holds=True)

    assert [limit.key for limit in Stager().look().limits if limit.holds] == ["tenant:4711"]


def test_why_a_wide_task_waits_is_read_from_twenty_jobs_without_their_payload(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    be_a_worker()
    drain(workflow, limit=500)
    job = Job.objects.filter(workflow=workflow).order_by("-id").first()
    assert job is not None
    Job.objects.bulk_create(
        Job(
            workflow=workflow, stage_id=job.stage_id, tenant_id=job.tenant_id, type=job.type, queue=job.queue,
            state="retryable", part=100 + part, payload={"text": "x" * 1_000},
            scheduled_at=datetime(2030, 1, 1, tzinfo=UTC),
        )
        for part in range(200)
    )  # fmt: skip
    Workflow.objects.filter(pk=workflow.pk).update(state="running")

    with rows() as found:
        found_reasons = reasons.blocked_by([Workflow.objects.get(pk=workflow.pk)])[workflow.pk]

    assert len(found_reasons) == reasons.MOST_REASONS
    of_jobs = [(count, sql) for count, sql in found if 'FROM "agentapp_job"' in sql]
    assert [count for count, _ in of_jobs] == [reasons.MOST_REASONS]
    assert not any('"payload"' in sql for _, sql in of_jobs)


def test_old_changes_of_gates_and_results_of_tasks_go(db: None, clock) -> None:
    for days in (1, 400):
        at = clock.now() - timedelta(days=days)
        GateChange.objects.create(at=at, actor="test", action="paused", target="global")
        TaskResult.objects.create(task_id=f"of {days} days")
        TaskResult.objects.filter(task_id=f"of {days} days").update(date_done=at)

    pruner.prune(rest=pruner.Rest())

    assert GateChange.objects.count() == 1
    assert list(TaskResult.objects.values_list("task_id", flat=True)) == ["of 1 days"]


@pytest.mark.parametrize("jobs", [1, 30])
def test_the_overview_reads_no_job_to_tell_the_oldest(principal: Principal, admin_user, client, jobs: int) -> None:
    for _ in range(jobs):
        workflows.submit(principal, kind="probe_loop", input={})
    client.force_login(admin_user)

    with rows() as found:
        assert client.get("/admin/").status_code == 200

    assert not any('"agentapp_job"."available_at" ASC' in sql for _, sql in found)


def _read_rows() -> int:
    """How many rows of jobs and limits this transaction has read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('agentapp_job', 'agentapp_limit')"
        )
        return int(cursor.fetchone()[0])


def test_the_oldest_job_of_a_tenant_is_looked_for_among_so_many(
    principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the overview tells it to who does not run the platform."""
    for _ in range(12):
        workflows.submit(principal, kind="probe_loop", input={})
    assert overview._oldest_of(principal) == (Job.objects.earliest("available_at").available_at, "model", False)
    monkeypatch.setattr(overview, "MOST_LOOKED_AT", 4)
    with connection.cursor() as cursor:
        # What is read so few at a time would all be read otherwise, because there are so few.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")

    before = _read_rows()
    since, _, is_cut = overview._oldest_of(principal)
    assert since is not None and is_cut
    assert _read_rows() - before <= 8


def test_a_look_at_twice_as_many_lanes_reads_twice_as_many_rows(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_loop", input={})
    job = Job.objects.get(workflow=workflow)
    common = {"workflow": workflow, "stage_id": job.stage_id, "queue": job.queue, "state": "available"}

    def look(many: int) -> int:
        """Let as many tenants wait, each in a lane of its own, while as many jobs are published."""
        Job.objects.filter(workflow=workflow).delete()
        Tenant.objects.filter(slug__startswith="lane-").delete()
        for number in range(many):
            tenant = Tenant.objects.create(slug=f"lane-{number}", name="Lane")
            Job.objects.create(**common, tenant=tenant, type=job.type, part=number)
            Job.objects.create(
                **common, tenant=tenant, type=job.type, part=many + number, published_at=job.available_at, publishes=1
            )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE agentapp_job, agentapp_limit")
        before = _read_rows()
        assert len(Stager().look().lanes) == many
        return _read_rows() - before

    once, twice = look(40), look(80)

    assert twice <= 3 * once
