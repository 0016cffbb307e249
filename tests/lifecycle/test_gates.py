"""A job passes all of its gates, or none: it is parked, holds nothing, and is told why. [E1] [E2] [E3] INV4 INV5"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from agentapp import clock as clock_module
from agentapp.dispatch.stager import Stager
from agentapp.lifecycle import gates, make_due
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Gate, Job, Limit, Workflow
from agentapp.policies import pace
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.runtime import runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.harness import be_a_worker, drain, path

pytestmark = [pytest.mark.django_db(transaction=True)]

QUEUES = tuple(WORKER_CLASS_SCOPES)


def take(job: Job, **more: Any) -> Claimed | Refused:
    return claim(str(job.pk), worker="worker", queues=QUEUES, lease_s=15, **more)


def first_jobs(principal: Principal, count: int, **more: Any) -> list[Job]:
    runs = [workflows.submit(principal, kind="probe_fan", input={}, **more) for _ in range(count)]
    return list(Job.objects.filter(workflow__in=runs, type="probe_first").order_by("id"))


def gate(scope: str, pattern: str = "*", **values: Any) -> Gate:
    return gates.keep(Gate(scope=scope, pattern=pattern, **values), actor="test")


@pytest.mark.parametrize("scope", ["global", "job_type", "tenant"])
def test_a_full_gate_parks_the_job_and_says_which_it_was(principal: Principal, scope: str) -> None:
    gate(scope, "global" if scope == "global" else "*", concurrency=1)
    one, other = first_jobs(principal, 2)

    running, parked = take(one), take(other)

    assert isinstance(running, Claimed) and parked == Refused("parked")
    other.refresh_from_db()
    assert (other.state, other.attempt, other.published_at) == ("scheduled", 0, None)
    (blocker,) = other.blocked_by or []
    assert (blocker["scope"], blocker["why"], blocker["limit"], blocker["running"]) == (scope, "concurrency", 1, 1)
    assert not Workflow.objects.get(pk=other.workflow_id).started_at


def test_a_slot_that_is_free_again_goes_to_who_was_parked_first(principal: Principal) -> None:
    gate("job_type", "probe_first", concurrency=1)
    one, second, third = first_jobs(principal, 3)
    held = take(one)
    assert [take(second), take(third)] == [Refused("parked")] * 2

    assert isinstance(held, Claimed)
    complete(held, {"text": "A", "priority": 2, "risk": "low"}, worker="worker")
    for job in make_due.due():
        make_due.make_due(job, actor="dispatcher")
    Stager().admit()

    assert isinstance(take(second), Claimed)
    assert path(second) == "available > scheduled > available > running"
    third.refresh_from_db()
    assert (third.state, third.published_at) == ("available", None)


def test_jobs_of_a_full_gate_are_not_even_published_once_somebody_waits(principal: Principal) -> None:
    gate("job_type", "probe_first", concurrency=1)
    one, other = first_jobs(principal, 2)
    take(one)
    take(other)

    (late,) = first_jobs(principal, 1)

    assert (late.state, late.published_at, late.publishes) == ("available", None, 0)


def test_a_fan_out_publishes_no_more_parts_than_its_gate_has_room_for(principal: Principal) -> None:
    gate("job_type", "probe_part", concurrency=8)
    run = workflows.submit(principal, kind="probe_all", input={"parts": list(range(100))})

    published = Job.objects.filter(workflow=run, type="probe_part").exclude(published_at=None)

    assert published.count() == 8


def test_all_or_nothing_a_job_that_one_gate_stops_takes_no_share_of_the_others(principal: Principal) -> None:
    gate("job_type", "probe_first", requests_per_min=60, request_burst=1)
    gate("global", "global", concurrency=0)
    (job,) = first_jobs(principal, 1)

    assert take(job) == Refused("parked")
    assert Limit.objects.get(key="job_type:probe_first").request_at is None


def test_pace_lets_a_burst_through_and_then_one_at_each_step(principal: Principal, clock: clock_module.Clock) -> None:
    gate("job_type", "probe_first", requests_per_min=60, request_burst=2)
    jobs = first_jobs(principal, 4)

    assert [isinstance(take(job), Claimed) for job in jobs] == [True, True, False, False]
    third = jobs[2]
    third.refresh_from_db()
    assert third.scheduled_at == clock.now() + timedelta(seconds=1)
    assert (third.blocked_by or [])[0]["why"] == "requests"

    clock.advance(1)
    make_due.make_due(third, actor="dispatcher")
    assert isinstance(take(third), Claimed)


def test_the_policy_reads_a_meter_as_the_move_does(principal: Principal, clock: clock_module.Clock) -> None:
    """policies.pace says how many may pass, and so many do."""
    gate("job_type", "probe_first", requests_per_min=120, request_burst=3)
    jobs = first_jobs(principal, 12)
    gates.know(["job_type:probe_first"])

    passed = []
    for wait_s in (10, 0.4, 0.6, 1.7, 0, 0.5):
        clock.advance(wait_s)
        (limit,) = [limit for limit in Stager().look().limits if limit.key == "job_type:probe_first"]
        room = pace.room(ahead_s=limit.request_ahead_s, step_s=limit.request_s or 0, burst=limit.request_burst)
        claims = 0
        while isinstance(take(jobs[0]), Claimed):
            jobs.pop(0)
            claims += 1
        Job.objects.filter(pk=jobs[0].pk).update(state="available", scheduled_at=None)
        passed.append((claims, room))

    assert passed == [(3, 3), (0, 0), (2, 2), (3, 3), (0, 0), (1, 1)]


def test_a_worker_goes_on_in_place_where_its_slot_passes_on(principal: Principal) -> None:
    gate("global", "global", concurrency=1)
    gate("tenant", concurrency=1)
    be_a_worker()
    run = workflows.submit(principal, kind="probe_loop", input={})
    job = Job.objects.get(workflow=run, state="available")

    ran = runner.run(str(job.pk))

    assert (ran.word, ran.in_place) == ("completed", 2)
    assert Workflow.objects.get(pk=run.pk).state == "completed"


def test_a_step_with_a_gate_of_its_own_is_claimed_again_by_the_same_worker(principal: Principal) -> None:
    gate("job_type", "probe_sum", concurrency=1)
    be_a_worker()
    run = workflows.submit(principal, kind="probe_fan", input={"parts": [1]})
    drain(run)

    assert Workflow.objects.get(pk=run.pk).state == "completed"
    attempt = Job.objects.get(workflow=run, type="probe_sum").attempts.get()
    assert attempt.in_place is False


def test_urgent_work_has_slots_of_its_own(principal: Principal) -> None:
    gate("job_type", "probe_first", concurrency=2, reserved=1)
    normal, second = first_jobs(principal, 2)
    (urgent,) = first_jobs(principal, 1, priority="urgent")

    assert isinstance(take(normal), Claimed)
    assert take(second) == Refused("parked")
    assert isinstance(take(urgent), Claimed)


def test_of_all_gates_that_fit_the_most_particular_one_holds(principal: Principal, settings: Settings) -> None:
    gate("job_type", "*", concurrency=9)
    gate("job_type", "probe_*", concurrency=5)
    gate("job_type", "probe_first", concurrency=3)
    tier = gate("tenant", "*", concurrency=4)
    gate("tenant", "*", tier="standard", concurrency=2)
    (job,) = first_jobs(principal, 1)
    take(job)

    held = dict(Limit.objects.exclude(concurrency=None).values_list("key", "concurrency"))
    assert held["job_type:probe_first"] == 3
    assert held["job_type:probe_part"] == 5 if "job_type:probe_part" in held else True
    assert held[f"tenant:{job.tenant_id}"] == 2
    gates.remove(Gate.objects.get(tier="standard"), actor="test")
    assert Limit.objects.get(key=f"tenant:{job.tenant_id}").gate_id == tier.pk


def test_a_lowered_limit_holds_from_the_next_claim_on(principal: Principal) -> None:
    rule = gate("job_type", "probe_first", concurrency=5)
    jobs = first_jobs(principal, 3)
    assert isinstance(take(jobs[0]), Claimed)

    rule.concurrency = 1
    gates.keep(rule, actor="test")

    assert take(jobs[1]) == Refused("parked")


def test_a_paused_key_lets_nothing_begin_and_a_draining_one_what_has_begun(principal: Principal) -> None:
    begun, fresh = first_jobs(principal, 2)
    held = take(begun)
    gates.set_mode("global", KeyMode.DRAINING, actor="test", reason="a new release")
    assert take(fresh) == Refused("parked")
    assert isinstance(held, Claimed)
    complete(held, {"text": "A", "priority": 2, "risk": "low"}, worker="worker")
    parts = list(Job.objects.filter(workflow=begun.workflow_id, type="probe_part"))
    assert isinstance(take(parts[0]), Claimed)

    gates.set_mode("global", KeyMode.PAUSED, actor="test", reason="the disk is full")
    assert take(parts[1]) == Refused("parked")

    gates.set_mode("global", KeyMode.OPEN, actor="test", reason="")
    for job in make_due.due():
        make_due.make_due(job, actor="dispatcher")
    assert isinstance(take(parts[1]), Claimed)
