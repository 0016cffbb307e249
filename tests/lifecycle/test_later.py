"""Tasks that begin at a time. [A1]"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock as clocks
from agentapp.clock import Clock
from agentapp.dispatch import stager, timekeeper
from agentapp.errors import InvalidInput
from agentapp.lifecycle import begin_scheduled
from agentapp.models import History, Job, Workflow
from agentapp.services import reasons, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, histories_are_legal
from tests.lifecycle import crooked_kinds

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


def later(principal: Principal, *, kind: str = "probe_fan", **more: Any) -> Workflow:
    return workflows.submit(principal, kind=kind, input=more.pop("input", {}), run_at=clocks.now() + HOUR, **more)


def test_a_task_waits_for_its_time_and_then_runs(principal: Principal, clock: Clock) -> None:
    task = later(principal)
    assert task.state == "scheduled"
    assert set(Job.objects.values_list("state", flat=True)) == {"pending"}
    (reason,) = reasons.blocked_by([task])[task.pk]
    assert (reason["type"], reason["until"]) == ("time", task.run_at)

    clock.advance(3_599)
    assert stager.begin_scheduled() == 0
    clock.advance(1)
    assert stager.begin_scheduled() == 1
    drain()

    task.refresh_from_db()
    assert task.state == "completed"
    states = History.objects.filter(workflow=task, noun="workflow").order_by("seq").values_list("to_state", flat=True)
    assert list(states) == ["scheduled", "pending", "running", "completed"]
    assert histories_are_legal()


def test_a_time_that_is_over_is_now(principal: Principal, clock: Clock) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={}, run_at=clocks.now() - HOUR)

    assert task.state == "pending"


def test_it_counts_for_no_limit_until_its_time_has_come(principal: Principal, settings, clock: Clock) -> None:
    settings.AGENTAPP_TENANT_MARK_TASKS = 1
    for _ in range(3):
        later(principal)

    assert workflows.submit(principal, kind="probe_fan", input={}).state == "pending"


def test_what_could_not_be_opened_then_is_refused_now(principal: Principal, clock: Clock) -> None:
    with crooked_kinds.registered(), pytest.raises(InvalidInput, match="Crooked_part"):
        later(principal, kind="crooked_first", input={"output": {}})

    assert not Workflow.objects.exists() and not History.objects.exists()


def test_its_deadline_counts_from_its_time(principal: Principal, clock: Clock) -> None:
    task = later(principal, deadline_s=60)

    assert task.deadline_at == clocks.now() + HOUR + timedelta(seconds=60)
    clock.advance(120)
    assert timekeeper.expire_overdue() == 0


def test_it_is_cancelled_before_its_time(principal: Principal, clock: Clock) -> None:
    task = later(principal)
    workflows.cancel(principal, task.pk, reason="not needed")
    clock.advance(3_600)

    assert stager.begin_scheduled() == 0
    assert begin_scheduled.begin(task.pk, actor="dispatcher") is None
    assert set(Job.objects.values_list("state", flat=True)) == {"cancelled"}
    assert histories_are_legal()


def test_it_begins_once_however_many_ask(principal: Principal, clock: Clock) -> None:
    task = later(principal)
    clock.advance(3_600)

    opened = [begin_scheduled.begin(task.pk, actor="dispatcher") for _ in range(3)]

    assert [bool(each and each.jobs) for each in opened] == [True, False, False]


def test_tenants_take_turns_among_what_is_due_at_once(
    principal: Principal, other_principal: Principal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stager, "BATCH", 8)
    for _ in range(20):
        later(principal)
    clock.advance(1)
    few = [later(other_principal) for _ in range(3)]
    clock.advance(3_600)

    assert stager.begin_scheduled() == 8

    assert {Workflow.objects.get(pk=task.pk).state for task in few} == {"pending"}
    assert Workflow.objects.filter(tenant=few[0].tenant, state="pending").count() == 3
    assert [stager.begin_scheduled() for _ in range(3)] == [8, 7, 0]


@pytest.mark.parametrize("days", [367, 10_000])
def test_a_time_that_is_too_far_away_is_refused(principal: Principal, clock: Clock, days: int) -> None:
    with pytest.raises(InvalidInput, match="366 days"):
        workflows.submit(principal, kind="probe_fan", input={}, run_at=clocks.now() + timedelta(days=days))
