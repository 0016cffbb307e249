"""Admission goes by the model that a job will call: what is chosen then, not when it was planned. [C7] [E1]"""

from __future__ import annotations

import pytest

from agentapp import registry
from agentapp.dispatch.stager import Stager
from agentapp.flows import Flow, Step
from agentapp.lifecycle import gates
from agentapp.models import Gate, Job, ModelChoice
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.runtime import JobContext, job
from agentapp.services import model_choices, workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests import kinds
from tests.dispatch.message_reader import MessageReader

pytestmark = [pytest.mark.django_db(transaction=True)]

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)


@job(queue="model", scopes={"model:call"})
def probe_admitted(ctx: JobContext, *, text: str) -> dict[str, str]:
    return {"text": text}


registry.add_flow(
    Flow(
        kind="probe_admitted", version=1, input=kinds.Anything,
        stages=(Step("probe_admitted", bind={"text": "input.text"}),),
    )
)  # fmt: skip


def waiting(principal: Principal) -> Job:
    """A job that waits as a row, because its queue was paused when it was opened."""
    gates.know(["queue:model"])
    gates.set_mode("queue:model", KeyMode.PAUSED, actor="test", reason="a test")
    task = workflows.submit(principal, kind="probe_admitted", input={})
    gates.set_mode("queue:model", KeyMode.OPEN, actor="test", reason="a test")
    job = Job.objects.get(workflow=task)
    assert (job.state, job.published_at) == ("available", None)
    return job


def test_a_job_whose_model_is_out_is_admitted_for_the_fallback(
    principal: Principal, message_reader: MessageReader
) -> None:
    choice = model_choices.save(OPERATOR, ModelChoice(), {"model": "first"})
    gates.set_mode("model:first", KeyMode.PAUSED, actor="test", reason="a test")
    job = waiting(principal)
    assert Stager().admit() == 0

    model_choices.save(OPERATOR, choice, {"fallback_model": "second"})

    assert Stager().admit() == 1
    job.refresh_from_db()
    assert (job.published_at is not None, job.model) == (True, "second")


def test_a_job_that_waits_for_one_model_goes_on_when_another_is_chosen(
    principal: Principal, message_reader: MessageReader
) -> None:
    choice = model_choices.save(OPERATOR, ModelChoice(), {"model": "small"})
    gates.keep(Gate(scope="model", pattern="small", concurrency=0), actor="test")
    job = waiting(principal)
    assert Stager().admit() == 0

    model_choices.save(OPERATOR, choice, {"model": "large"})

    assert Stager().admit() == 1
    job.refresh_from_db()
    assert job.model == "large"
