"""A worker that goes on with the next job of a task asks the model that is chosen for that one. [C7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.models import Attempt
from agentapp.runtime import JobContext, job
from agentapp.services.principals import Principal
from tests import kinds
from tests.harness import run_workflow
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import OddServer
from tests.runtime.test_model_choices import answering, calls, choose

pytestmark = [pytest.mark.django_db(transaction=True)]


@job(queue="model", scopes={"model:call"})
def probe_goes_on(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"text": ctx.model.complete(text).text}


registry.add_flow(
    Flow(
        kind="probe_goes_on", version=1, input=kinds.Anything,
        stages=tuple(Step("probe_goes_on", name=name, bind={"text": "input.text"}) for name in ("first", "second")),
    )
)  # fmt: skip


def test_a_job_that_its_worker_goes_on_with_asks_the_chosen_model_too(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering()
    choose(model="chosen")

    task = run_workflow(principal, "probe_goes_on")

    assert calls() == [("chosen", "", "chosen", "")] * 2
    assert [attempt.in_place for attempt in Attempt.objects.filter(job__workflow=task).order_by("id")] == [False, True]
