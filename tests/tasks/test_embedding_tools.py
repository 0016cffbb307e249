"""What a tool embeds passes the gate of the embedding model and the budget of the day like any other call. [C5] [E1]"""

from __future__ import annotations

import pytest
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.lifecycle import gates as gate_moves
from agentapp.lifecycle import make_due as due_moves
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Gate, Job, Limit, ModelCall, Reservation, Tenant, TenantDay, Workflow
from agentapp.runtime import JobContext, runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.harness import be_a_worker, drain, make_due
from tests.lifecycle.test_locks import take
from tests.offline_model.process import OfflineModel
from tests.retrieval.conftest import fill
from tests.tasks.agent_runs import call, result, results, run, script

pytestmark = pytest.mark.django_db(transaction=True)
SEARCH = script([call("search_documents", query="How long are deleted projects kept?")], "Done.")
VECTORS = "offline-vectors"


@pytest.fixture(autouse=True)
def own_model(provider: OfflineModel, tenant: Tenant, settings: Settings) -> None:
    """The embedding model has a gate of its own."""
    settings.AGENTAPP_EMBEDDING_MODEL = VECTORS
    fill(tenant)


def embedded(task: Workflow) -> int:
    return ModelCall.objects.filter(workflow_id=task.pk, is_embedding=True).count()


def test_a_tool_waits_at_the_gate_of_the_embedding_model_and_goes_on_when_it_opens(
    principal: Principal, clock: Clock
) -> None:
    gate_moves.know([f"model:{VECTORS}"])
    gate_moves.set_mode(f"model:{VECTORS}", KeyMode.PAUSED, actor="test", reason="a new contract")

    task = run(principal, SEARCH, tools=["search_documents"])
    for _ in range(5):
        make_due(clock, 60)
        drain(task)

    waiting = Job.objects.get(workflow=task, type="run_tool")
    (blocker,) = waiting.blocked_by or [{}]
    assert (waiting.state, waiting.model) == ("scheduled", VECTORS)
    assert (blocker["scope"], blocker["name"], blocker["why"]) == ("model", VECTORS, "paused")
    assert embedded(task) == 0

    gate_moves.set_mode(f"model:{VECTORS}", KeyMode.OPEN, actor="test", reason="")
    due_moves.wake_parked(limit=10)
    make_due(clock, 60)
    drain(task)
    task.refresh_from_db()
    assert (task.state, embedded(task)) == ("completed", 1)
    assert [status for _, status, _ in results(task)] == ["ok"]


def test_what_a_tool_embeds_is_of_the_budget_of_the_day(principal: Principal) -> None:
    gate_moves.keep(Gate(scope="budget", pattern="*", tokens_per_day=10**6), actor="test")

    task = run(principal, SEARCH, tools=["search_documents"])

    calls = ModelCall.objects.filter(tenant_id=task.tenant_id)
    assert result(task)["outcome"] == "answered" and embedded(task) == 1
    assert TenantDay.objects.get().tokens == sum(one.prompt_tokens + one.completion_tokens for one in calls)
    assert not Reservation.objects.exists()


def test_a_tool_that_calls_no_model_gives_nothing_back_to_the_gate_of_one(
    principal: Principal, settings: Settings
) -> None:
    """Jobs of tools have learned from searches how many tokens one uses."""
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0
    task = workflows.submit(
        principal, kind="agent", input={"instruction": script([call("calculate", expression="1 + 1")], "Done.")}
    )
    be_a_worker()
    runner.run(str(Job.objects.get(workflow=task, state="available").pk))
    gate_moves.keep(Gate(scope="model", pattern="*", tokens_per_min=6_000), actor="test")
    gate_moves.keep(Gate(scope="job_type", pattern="run_tool", requests_per_min=600), actor="test")
    gate_moves.know(["job_type:run_tool"])
    Limit.objects.filter(key="job_type:run_tool").update(tokens_each=5_000)
    before = Limit.objects.filter(scope="model").order_by("key").values("key", "token_at")
    models = list(before)

    taken = take(Job.objects.get(workflow=task, state="available"))
    assert isinstance(taken, Claimed) and (taken.type, taken.tokens) == ("run_tool", 5_000)
    JobContext(taken).close()

    assert list(before.all()) == models
