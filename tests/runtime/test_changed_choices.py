"""What waits or runs while a choice changes: no job waits for a model that it does not ask. [C7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp import clock as clock_module
from agentapp import registry
from agentapp.dispatch import stager
from agentapp.errors import RateLimited
from agentapp.flows import Flow, Step
from agentapp.lifecycle import gates as gate_moves
from agentapp.lifecycle import make_due as due_moves
from agentapp.lifecycle import switch_model
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Gate, Job, Limit, ModelChoice, Tenant, Workflow
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.runtime import JobContext, claiming, job, meters
from agentapp.services import model_choices, workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests import kinds
from tests.harness import be_a_worker, drain

pytestmark = [pytest.mark.django_db(transaction=True)]

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)


@job(queue="model", scopes={"model:call"})
def probe_changes(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"key": ctx.model._chosen.key}


registry.add_flow(
    Flow(
        kind="probe_changes", version=1, input=kinds.Anything,
        stages=(Step("probe_changes", bind={"text": "input.text"}),),
    )
)  # fmt: skip


def choose(**values: Any) -> ModelChoice:
    return model_choices.save(OPERATOR, ModelChoice(), values)


def submitted(principal: Principal) -> Workflow:
    be_a_worker()
    return workflows.submit(principal, kind="probe_changes", input={})


def parked(principal: Principal, model: str) -> Job:
    """A job that waits for a provider that wants to be left alone for an hour."""
    gate_moves.know([f"model:{model}"])
    meters.failed(f"model:{model}", RateLimited("slow down", retry_after_s=3_600), job_type="probe_changes")
    task = submitted(principal)
    drain(task)
    found = Job.objects.get(workflow=task)
    assert (found.state, found.model) == ("scheduled", model)
    return found


def claimed(principal: Principal) -> tuple[claiming.PendingClaim, Claimed]:
    task = submitted(principal)
    pending = claiming.PendingClaim(str(Job.objects.get(workflow=task).pk))
    found = claiming._claim(pending)
    assert isinstance(found, Claimed)
    return pending, found


def test_a_job_that_was_put_off_is_due_when_another_model_is_chosen(
    principal: Principal, clock: clock_module.Clock
) -> None:
    choice = choose(model="first")
    waiting = parked(principal, "first")
    assert due_moves.wake_parked(limit=10) == 0 and not due_moves.due()

    model_choices.save(OPERATOR, choice, {"model": "second"})

    assert due_moves.wake_parked(limit=10) == 1
    assert [job.pk for job in due_moves.due()] == [waiting.pk]
    assert due_moves.wake_parked(limit=10) == 0


def test_a_job_that_was_put_off_is_due_when_a_fallback_is_chosen(
    principal: Principal, clock: clock_module.Clock
) -> None:
    choice = choose(model="first")
    parked(principal, "first")

    model_choices.save(OPERATOR, choice, {"fallback_model": "second"})

    assert due_moves.wake_parked(limit=10) == 1


def test_a_job_that_was_put_off_is_due_when_a_person_resumes_the_key(
    principal: Principal, clock: clock_module.Clock
) -> None:
    choose(model="first")
    parked(principal, "first")

    gate_moves.set_mode("model:first", KeyMode.OPEN, actor="test", reason="it answers again")

    assert due_moves.wake_parked(limit=10) == 1


def test_so_many_are_woken_at_once_and_the_others_after_them(principal: Principal, clock: clock_module.Clock) -> None:
    choice = choose(model="first")
    for _ in range(3):
        parked(principal, "first")
    model_choices.save(OPERATOR, choice, {"model": "second"})

    assert [due_moves.wake_parked(limit=2) for _ in range(3)] == [2, 1, 0]


def test_the_dispatcher_wakes_them(principal: Principal) -> None:
    choice = choose(model="first")
    waiting = parked(principal, "first")
    model_choices.save(OPERATOR, choice, {"model": "second"})

    stager.Waker().wake()

    assert [job.pk for job in due_moves.due()] == [waiting.pk]


def test_without_its_choice_a_job_waits_for_the_model_of_its_plan_again(
    principal: Principal, clock: clock_module.Clock
) -> None:
    planned = Job.objects.get(workflow=submitted(principal)).model
    choice = choose(model="first")
    waiting = parked(principal, "first")

    model_choices.delete(OPERATOR, choice)

    waiting.refresh_from_db()
    assert waiting.model == planned != "first"
    assert due_moves.wake_parked(limit=10) == 1


def test_of_other_tenants_and_with_another_choice_a_job_waits_on(
    principal: Principal, other_principal: Principal, tenant: Tenant, clock: clock_module.Clock
) -> None:
    choose(model="first")
    specific = choose(model="first", tenant=Tenant.objects.exclude(pk=tenant.pk).get().slug)
    waiting = [parked(who, "first") for who in (principal, other_principal)]

    model_choices.delete(OPERATOR, specific)

    assert [Job.objects.get(pk=job.pk).model for job in waiting] == ["first", "first"]
    assert due_moves.wake_parked(limit=10) == 0


def test_a_switch_whose_answer_was_lost_is_made_once(principal: Principal, clock: clock_module.Clock) -> None:
    choose(model="first", fallback_model="second")
    gate_moves.keep(Gate(scope="model", pattern="second", requests_per_min=1, request_burst=1), actor="test")
    _, mine = claimed(principal)
    first = switch_model.switch(mine, "second")
    charged_until = Limit.objects.get(key="model:second").request_at

    again = switch_model.switch(mine, "second")

    assert first is not None and again == first
    assert Limit.objects.get(key="model:second").request_at == charged_until


def test_a_claim_that_is_told_a_newer_choice_passes_the_gate_of_that_model_first(
    principal: Principal, clock: clock_module.Clock
) -> None:
    choice = choose(model="first")
    pending, _ = claimed(principal)
    model_choices.save(OPERATOR, choice, {"model": "second"})
    again = claiming._claim(pending)
    assert isinstance(again, Claimed) and again.model == "first"

    chosen = JobContext(again).model._chosen
    before = (chosen.is_counted, chosen.key)
    chosen.be_counted()

    assert before == (False, "model:first") and (chosen.is_counted, chosen.key) == (True, "model:second")
    assert Job.objects.get().model == "second"
