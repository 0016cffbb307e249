"""Ten metrics and more: what /metrics shows is what the rows say. [H1]"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from agentapp import ids
from agentapp.clock import Clock
from agentapp.lifecycle import admit, figures, gates, samples, totals
from agentapp.models import (
    Attempt,
    DispatcherLease,
    DrillReport,
    Gate,
    Job,
    Limit,
    ModelCall,
    Sample,
    Tenant,
    TenantDay,
    Total,
    Worker,
    Workflow,
)
from agentapp.observability import metrics as catalogue
from agentapp.services import metrics, workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.harness import be_a_worker, run_workflow
from tests.lifecycle.test_gates import take
from tests.observability.exposed import Exposed

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def seconds(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def sql(statement: str, *parameters: Any) -> float:
    """The only number that a statement answers with."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return float(cursor.fetchone()[0])


def call(tenant: Tenant, number: int, *, at: float, **values: object) -> None:
    made = UUID(int=ids.lowest(seconds(at)).int + number)
    started_at = seconds(at) - timedelta(seconds=float(str(values["latency_s"])))
    ModelCall.objects.create(id=made, tenant=tenant, started_at=started_at, model="small", **values)


@pytest.fixture
def busy(principal: Principal, clock: Clock) -> str:
    """Tasks that are done, that run and that wait, a dead letter, calls of a model; return the queue of their jobs."""
    clock.set(seconds(1))
    be_a_worker()
    done = [run_workflow(principal, "probe_fan") for _ in range(2)]
    clock.set(seconds(10))
    waiting = [workflows.submit(principal, kind="probe_fan", input={}) for _ in range(4)]
    jobs = list(Job.objects.filter(workflow__in=waiting, state="available").order_by("id"))
    queue = str(jobs[0].queue)
    assert take(jobs[0])
    Job.objects.filter(pk=jobs[1].pk).update(state="dead_lettered", finished_at=seconds(20))
    Job.objects.filter(pk=jobs[2].pk).update(state="retryable", scheduled_at=seconds(90))
    Attempt.objects.filter(job__workflow=done[0]).order_by("pk").first().delete()  # type: ignore[union-attr]
    Attempt.objects.create(
        id=jobs[1].pk, job=jobs[1], number=2, worker="w", started_at=seconds(15), finished_at=seconds(19),
        outcome="failed",
    )  # fmt: skip
    call(done[0].tenant, 1, at=30, latency_s=3.0, prompt_tokens=70, completion_tokens=9, cost_usd=Decimal("0.5"))
    call(done[0].tenant, 2, at=31, latency_s=0.3, error_class="RateLimited")
    gates.know([f"queue:{queue}"])
    admit.measure(per_s={}, run_s={}, slots={queue: 8})
    clock.set(seconds(66))
    samples.take()
    assert totals.add_up() == 1
    return queue


def test_ten_metrics_equal_what_sql_says(busy: str, principal: Principal) -> None:
    shown = Exposed()

    def queue_of(statement: str) -> float:
        return sql(statement.replace("JOBS", "agentapp_job WHERE queue = %s AND"), busy)

    for state in ("available", "running", "retryable", "scheduled"):
        expected = queue_of(f"SELECT count(*) FROM JOBS state = '{state}'")
        assert shown.value("agentapp_jobs", queue=busy, state=state) == expected
    assert shown.value("agentapp_jobs", queue=busy, state="available") == 1
    age = queue_of(f"SELECT extract(epoch FROM '{seconds(66)}' - min(available_at)) FROM JOBS state = 'available'")
    assert shown.value("agentapp_queue_oldest_job_age_seconds", queue=busy) == age == 56
    attempts = "SELECT count(*) FROM agentapp_attempt a JOIN agentapp_job j ON j.id = a.job_id WHERE j.queue = %s AND "
    for outcome in ("completed", "failed"):
        expected = sql(f"{attempts} outcome = '{outcome}'", busy)
        assert shown.value("agentapp_attempts_total", queue=busy, outcome=outcome) == expected > 0
    assert shown.value("agentapp_attempts_retried_total", queue=busy) == sql(f"{attempts} number > 1", busy) == 1
    took = f"{attempts} a.finished_at - a.started_at <= interval '1 second'"
    assert shown.value("agentapp_attempt_duration_seconds_bucket", queue=busy, le="1.0") == sql(took, busy)
    assert shown.value("agentapp_attempt_duration_seconds_sum", queue=busy) == 4
    assert shown.value("agentapp_dead_letters", queue=busy) == queue_of("SELECT count(*) FROM JOBS finished_at IS NOT NULL AND state = 'dead_lettered'")  # fmt: skip # noqa: E501
    assert shown.value("agentapp_dead_letter_oldest_age_seconds") == 46
    finished = sql("SELECT count(*) FROM agentapp_workflow WHERE state = 'completed'")
    assert shown.value("agentapp_tasks_finished_total", kind="probe_fan", state="completed") == finished == 2
    assert shown.value("agentapp_task_duration_seconds_count", kind="probe_fan") == finished
    calls = sql("SELECT count(*) FROM agentapp_modelcall WHERE error_class = 'RateLimited'")
    assert shown.value("agentapp_model_calls_total", model="small", outcome="limited") == calls == 1
    latency = sql("SELECT sum(latency_s) FROM agentapp_modelcall")
    assert shown.value("agentapp_model_latency_seconds_sum", model="small") == pytest.approx(latency)
    assert shown.value("agentapp_model_tokens_total", model="small", direction="input") == 70
    assert shown.value("agentapp_model_cost_usd_total", model="small") == 0.5


def test_tools_are_counted_by_the_jobs_that_use_them(busy: str, clock: Clock) -> None:
    Job.objects.filter(state="dead_lettered").update(tool="lookup")
    Total.objects.all().delete()
    Sample.objects.all().delete()
    clock.set(seconds(67))
    samples.take()
    totals.add_up()

    shown = Exposed()

    assert shown.value("agentapp_tool_calls_total", tool="lookup", outcome="failed") == 1
    assert shown.value("agentapp_tool_latency_seconds_bucket", tool="lookup", le="5.0") == 1
    assert shown.value("agentapp_tool_latency_seconds_bucket", tool="lookup", le="2.0") == 0


def test_a_minute_is_added_once_and_counters_never_go_back(busy: str, clock: Clock) -> None:
    before = Exposed()

    assert totals.add_up() == 0
    again = Exposed()
    Sample.objects.all().delete()  # the pruner
    assert totals.add_up() == 0
    later = Exposed()

    counters = [key for key in before.samples if key[0].endswith(("_total", "_bucket", "_sum"))]
    assert len(counters) > 20
    for key in counters:
        assert before.samples[key] == again.samples[key] == later.samples[key]


def test_many_models_leave_no_queue_out(busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_TOTALS", 20)
    Total.objects.bulk_create(Total(key=f"model:a{number}", minute=seconds(60)) for number in range(20))

    shown = Exposed()

    assert shown.value("agentapp_attempts_total", queue=busy, outcome="failed") > 0
    assert shown.value("agentapp_model_calls_total", model="a0", outcome="failed") == 0
    # Of all keys, which the counters of the test's own tasks are among, so many are not shown.
    assert shown.value("agentapp_totals_left_out") == Total.objects.count() - 20 > 0
    monkeypatch.setattr(figures, "MOST_TOTALS", 500)
    assert Exposed().value("agentapp_totals_left_out") == 0


def worker(number: int, *, seen: float, counts: dict[str, list[float]] | None = None, **values: Any) -> Worker:
    return Worker.objects.create(
        id=number, name=f"w{number}", pool="threads", queues=values.pop("queues", ["model"]), slots=4,
        counts=counts or {}, started_at=seconds(0), seen_at=seconds(seen), **values,
    )  # fmt: skip


def test_what_workers_have_counted_is_added_up_over_their_restarts(clock: Clock) -> None:
    clock.set(seconds(70))
    worker(1, seen=69, counts={"event:message.failed": [2, 0.0], "queue:model": [5, 1.0]})
    worker(2, seen=69, counts={"event:message.failed": [1, 0.0]})
    totals.add_up()
    totals.add_up()
    assert Exposed().value("agentapp_worker_errors_total", event="message.failed") == 3

    Worker.objects.filter(pk=1).update(counts={"event:message.failed": [4, 0.0]})
    Worker.objects.filter(pk=2).delete()
    worker(3, seen=69, counts={"event:heartbeat.failed": [1, 0.0]})
    totals.add_up()

    shown = Exposed()
    assert shown.value("agentapp_worker_errors_total", event="message.failed") == 5
    assert shown.value("agentapp_worker_errors_total", event="heartbeat.failed") == 1


def test_workers_are_told_by_queue(clock: Clock) -> None:
    clock.set(seconds(70))
    worker(1, seen=68, queues=["model", "send"])
    worker(2, seen=10, queues=["send"])
    worker(3, seen=69, queues=["send"], draining_at=seconds(60))
    DispatcherLease.objects.update_or_create(pk=1, defaults={"renewed_at": seconds(40)})
    DrillReport.objects.create(started_at=seconds(0), finished_at=seconds(10), passed=False, answers=[])

    shown = Exposed()

    living = {queue: shown.value("agentapp_workers", queue=queue) for queue in ("model", "send", "documents")}
    assert living == {"model": 1, "send": 1, "documents": 0}
    assert shown.value("agentapp_workers_silent") == 1
    assert shown.value("agentapp_worker_heartbeat_age_seconds", queue="model") == 2
    assert shown.value("agentapp_dispatcher_heartbeat_age_seconds") == 30
    assert (shown.value("agentapp_drill_passed"), shown.value("agentapp_drill_age_seconds")) == (0, 60)


def test_limits_stops_and_budgets_are_told_and_tenants_only_where_it_is_asked_for(
    busy: str, tenant: Tenant, other_tenant: Tenant, clock: Clock, settings: Settings
) -> None:
    gates.keep(Gate(scope="global", pattern="global", concurrency=5), actor="user:operator")
    gates.keep(Gate(scope="budget", pattern="*", tokens_per_day=1000, cost_usd_per_day=2), actor="user:operator")
    gates.know(["global", "model:small", f"budget:{tenant.pk}", f"budget:{other_tenant.pk}", f"tenant:{tenant.pk}"])
    gates.set_mode("model:small", KeyMode.PAUSED, actor="user:operator", reason="a test")
    Limit.objects.filter(key="global").update(breaker="open")
    assert Exposed().value("agentapp_queue_stopped", queue=busy) == 0
    gates.set_mode(f"queue:{busy}", KeyMode.DRAINING, actor="user:operator", reason="a test")
    TenantDay.objects.all().delete()
    TenantDay.objects.create(tenant=tenant, day=NOON.date(), tokens=100, cost_usd=Decimal("1.8"))
    TenantDay.objects.create(tenant=other_tenant, day=NOON.date(), tokens=300)

    shown = Exposed()

    assert shown.value("agentapp_gate_slots", scope="global", name_="global") == 5
    assert shown.value("agentapp_gate_running", scope="global", name_="global") == 1
    assert shown.value("agentapp_keys_stopped", scope="model", reason="paused") == 1
    assert shown.value("agentapp_queue_stopped", queue=busy) == 1
    assert shown.value("agentapp_keys_stopped", scope="global", reason="breaker") == 1
    assert shown.value("agentapp_budget_used_ratio") == pytest.approx(0.9)
    assert 'tenant="' not in shown.text and f'"{tenant.slug}"' not in shown.text
    settings.AGENTAPP_METRICS_TENANTS = 1
    named = Exposed()
    assert named.value("agentapp_tenant_budget_used_ratio", tenant=tenant.slug) == pytest.approx(0.9)
    assert named.value("agentapp_tenant_tasks_waiting", tenant=tenant.slug) >= 0
    assert f'"{other_tenant.slug}"' not in named.text


def test_every_metric_has_its_name_kind_and_meaning_and_no_label_is_unbounded(busy: str) -> None:
    shown = Exposed()

    for metric in catalogue.CATALOGUE.values():
        name = f"{metric.name}_total" if metric.kind == catalogue.COUNTER else metric.name
        assert f"# TYPE {name} {metric.kind}\n" in shown.text
        assert f"# HELP {name} {metric.words}.\n" in shown.text
    labels = {label for _, labels in shown.samples for label, _ in labels}
    assert labels <= {"queue", "state", "outcome", "model", "direction", "tool", "kind", "scope", "name", "event", "reason", "le"}  # fmt: skip # noqa: E501
    assert not [key for key in map(str, Workflow.objects.values_list("pk", flat=True)) if key in shown.text]


def test_the_number_of_statements_does_not_depend_on_how_much_there_is(busy: str, principal: Principal) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            metrics.collect()
        return len(captured)

    before = statements()
    for _ in range(20):
        workflows.submit(principal, kind="probe_fan", input={})

    assert statements() == before <= 40


def test_no_statement_reads_a_large_table_from_end_to_end(db: None) -> None:
    parameters: dict[str, datetime | int | str] = {
        "now": seconds(66), "drill": 1, "alive": 5, "tenants": 20, "most": 9, "keys": 9, "totals": 9, "routes": 9,
        "left_out": 9, "shown": "1 day",
    }  # fmt: skip
    with transaction.atomic(), connection.cursor() as cursor:
        # Where there is an index that serves, it is taken; a scan of the whole table shows that there is none.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for statement in figures.STATEMENTS.values():
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert not re.search(r"Seq Scan on agentapp_(job|workflow|attempt|history|modelcall|sample)\b", plan), plan
