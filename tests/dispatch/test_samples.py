"""Each minute is measured once, from rows that exist. [G5]"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from agentapp import ids
from agentapp.clock import Clock
from agentapp.dispatch import pruner
from agentapp.dispatch.pruner import Rest
from agentapp.dispatch.sampler import Sampler
from agentapp.lifecycle import admit, gates, samples
from agentapp.models import Job, Limit, ModelCall, Sample, Tenant, Workflow
from agentapp.models.tenant import DRILL
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.harness import be_a_worker, drain, run_workflow
from tests.lifecycle.test_gates import take

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = datetime(2030, 1, 1, 12, tzinfo=UTC)


def seconds(number: float) -> datetime:
    return MINUTE + timedelta(seconds=number)


def sample(key: str, minute: int = 0) -> Sample:
    return Sample.objects.get(key=key, minute=MINUTE + minute * samples.MINUTE)


def call(tenant: Tenant, number: int, *, at: float, **values: object) -> None:
    """A call of a model that was recorded `at` seconds after the first minute began."""
    made = UUID(int=ids.lowest(seconds(at)).int + number)
    latency_s = float(str(values.pop("latency_s", 2.0)))
    started_at = seconds(at - latency_s)
    ModelCall.objects.create(id=made, tenant=tenant, latency_s=latency_s, started_at=started_at, **values)


def test_what_happened_to_jobs_is_counted_by_queue(principal: Principal, clock: Clock) -> None:
    clock.set(seconds(5))
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    first = Job.objects.get(workflow=workflow, state="available")
    be_a_worker()
    clock.set(seconds(12))
    drain(workflow)
    done = Job.objects.filter(workflow=workflow, queue=first.queue, state="completed").count()
    clock.set(seconds(65))

    assert samples.take() == 1

    found = sample(f"queue:{first.queue}")
    assert (found.entered, found.begun, found.completed) == (done, done, done)
    assert (found.failed, found.retried, found.dead_lettered) == (0, 0, 0)
    # The first job had waited for 7 seconds; the others were taken at once.
    assert (sum(found.waits), found.waits[9], sum(found.runs)) == (done, 1, done)


def test_a_minute_is_measured_once_and_only_when_it_is_over(principal: Principal, clock: Clock) -> None:
    clock.set(seconds(64))
    assert samples.take() == 1
    assert [each.minute for each in Sample.objects.filter(key="platform")] == [MINUTE - samples.MINUTE]
    clock.set(seconds(65))
    assert samples.take() == 1
    before = list(Sample.objects.order_by("pk").values())

    assert samples.take() == 0
    # Another dispatcher that has not seen it writes nothing over it.
    Sample.objects.bulk_create([Sample(minute=MINUTE, key="platform", dead_letters=7)], ignore_conflicts=True)
    assert list(Sample.objects.order_by("pk").values()) == before


def test_minutes_that_nobody_measured_are_measured_later_without_how_it_stood(
    principal: Principal, clock: Clock
) -> None:
    gates.know([f"queue:{queue}" for queue in WORKER_CLASS_SCOPES])
    clock.set(seconds(65))
    samples.take()
    clock.set(seconds(70))
    workflow = run_workflow(principal, "probe_fan")
    queue = str(Job.objects.filter(workflow=workflow, state="completed").values_list("queue", flat=True)[0])
    clock.set(seconds(245))

    assert samples.take() == 3

    late, latest = sample(f"queue:{queue}", 1), sample(f"queue:{queue}", 3)
    assert (late.waiting, late.slots, late.oldest_s) == (None, None, None) and late.completed > 0
    assert (latest.waiting, latest.slots, latest.oldest_s, latest.completed) == (0, 0, 0.0, 0)
    clock.set(seconds(7 * 86_400))
    assert samples.take() == samples.MOST_MINUTES


def test_how_it_stands_is_read_from_limits_and_jobs(principal: Principal, clock: Clock) -> None:
    clock.set(seconds(30))
    runs = [workflows.submit(principal, kind="probe_fan", input={}) for _ in range(3)]
    job = Job.objects.get(workflow=runs[0], state="available")
    assert take(job)
    gates.know([f"queue:{job.queue}"])
    admit.measure(per_s={}, run_s={}, slots={job.queue: 8})
    clock.set(seconds(66))

    samples.take()

    found = sample(f"queue:{job.queue}")
    assert (found.waiting, found.oldest_s, found.running, found.slots) == (2, 30.0, 1, 8)
    assert sample("platform").dead_letters == 0


def test_calls_of_models_are_counted_by_the_model_that_was_asked(tenant: Tenant, clock: Clock) -> None:
    call(tenant, 1, at=10, model="small-2", asked_model="small", prompt_tokens=100, completion_tokens=20,
         cost_usd=Decimal("0.5"))  # fmt: skip
    call(tenant, 2, at=50, model="small", prompt_tokens=1, completion_tokens=2, cost_usd=Decimal("0.25"), latency_s=40)
    call(tenant, 3, at=51, model="small", error_class="RateLimited", latency_s=0.15)
    call(tenant, 4, at=52, model="small", error_class="TransientError")
    call(tenant, 5, at=-1, model="small")
    call(tenant, 6, at=61, model="small")
    drill = Tenant.objects.create(slug=DRILL, name="Drill")
    call(drill, 7, at=53, model="small")
    clock.set(seconds(70))

    samples.take()

    found = sample("model:small")
    assert (found.completed, found.limited, found.failed) == (2, 1, 1)
    assert (found.prompt_tokens, found.completion_tokens, found.cost_usd) == (101, 22, Decimal("0.75"))
    assert found.runs == [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1]


def test_what_waits_behind_a_stopped_key_is_counted(principal: Principal, clock: Clock) -> None:
    clock.set(seconds(30))
    runs = [workflows.submit(principal, kind="probe_fan", input={}) for _ in range(2)]
    type = Job.objects.get(workflow=runs[0], state="available").type
    tenant = f"tenant:{runs[0].tenant_id}"
    gates.know([f"job_type:{type}", tenant, "model:nobody"])
    for key in (f"job_type:{type}", tenant):
        gates.set_mode(key, KeyMode.PAUSED, actor="user:operator", reason="a test")
    Limit.objects.filter(key="model:nobody").update(breaker="open")
    clock.set(seconds(66))

    samples.take()

    waiting = dict(Sample.objects.exclude(key__startswith="queue:").values_list("key", "waiting"))
    assert waiting == {"platform": None, f"job_type:{type}": 2, tenant: 2, "model:nobody": 0}


def test_the_drill_is_not_counted(principal: Principal, clock: Clock) -> None:
    clock.set(seconds(10))
    workflow = run_workflow(principal, "probe_fan")
    Tenant.objects.filter(pk=workflow.tenant_id).update(slug=DRILL)
    clock.set(seconds(70))

    samples.take()

    assert not [each.key for each in Sample.objects.exclude(key="platform") if each.entered or each.completed]
    assert Workflow.objects.count() == 1


def test_samples_are_kept_for_eight_days(clock: Clock) -> None:
    for days in (7.9, 8.1):
        Sample.objects.create(minute=seconds(-days * 86_400), key="platform")

    pruner.prune(rest=Rest())

    assert [each.minute for each in Sample.objects.all()] == [seconds(-7.9 * 86_400)]


def test_the_duty_measures_when_it_is_time(clock: Clock) -> None:
    sampler = Sampler()
    clock.set(seconds(70))
    sampler.sample()
    clock.set(seconds(130))

    sampler.next_at_s = math.inf
    sampler.sample()
    assert Sample.objects.filter(key="platform").count() == 1

    sampler.next_at_s = 0.0
    sampler.sample()
    assert Sample.objects.filter(key="platform").count() == 2
