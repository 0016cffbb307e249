"""The budget of a tenant's day: what its models may use is reserved before each call and settled after it. [C5]"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from agentapp import clock as clock_module
from agentapp import registry
from agentapp.errors import ModelRefused, Unavailable
from agentapp.flows import Flow, Step
from agentapp.lifecycle import gates as gate_moves
from agentapp.lifecycle import make_due as due_moves
from agentapp.models import (
    Attempt,
    Document,
    Gate,
    GateChange,
    Job,
    Limit,
    ModelCall,
    Reservation,
    TenantDay,
    Workflow,
)  # fmt: skip
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.runtime import JobContext, job
from agentapp.services import documents, gates, memories
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests import kinds
from tests.harness import drain, make_due, run_workflow
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import Json, Odd, OddServer, completion, whole

pytestmark = [pytest.mark.django_db(transaction=True)]

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)
EACH = 1_100
MODEL = "gpt-4o-mini"


@job(queue="model", scopes={"model:call"})
def probe_spends(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"texts": [ctx.model.complete(text, max_tokens=1_000).text for _ in range(2)]}


@job(queue="retrieval", scopes={"model:embed"})
def probe_spends_on_vectors(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"vectors": len(ctx.model.embed([text]).vectors)}


@job(queue="model", scopes={"model:call"})
def probe_spends_on_data(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"data": ctx.model.complete(text, max_tokens=1_000, schema={"type": "object", "required": ["x"]}).data}


for kind in ("probe_spends", "probe_spends_on_vectors", "probe_spends_on_data"):
    registry.add_flow(
        Flow(kind=kind, version=1, input=kinds.Anything, stages=(Step(kind, bind={"text": "input.text"}),))
    )


@pytest.fixture(autouse=True)
def answers(odd: OddServer) -> Iterator[None]:
    def answer(body: Json) -> Odd:
        if "input" in body:
            data = [{"index": n, "embedding": [0.1, 0.2]} for n in range(len(body["input"]))]
            return whole({"data": data, "usage": {"prompt_tokens": EACH}})
        used = {"prompt_tokens": 1_000, "completion_tokens": 100}
        return whole({**completion({"content": "Yes."}), "model": MODEL, "usage": used})

    odd.answer = answer
    yield


def budget(**values: Any) -> Gate:
    return gate_moves.keep(Gate(scope="budget", pattern="*", **values), actor="test")


def used() -> list[int]:
    return list(TenantDay.objects.order_by("day").values_list("tokens", flat=True))


def the_job(task: Workflow) -> Job:
    return Job.objects.get(workflow=task)


def limit(principal: Principal) -> Limit:
    return Limit.objects.get(key=f"budget:{principal.tenant_id}")


def test_without_a_budget_nothing_is_reserved_or_counted(principal: Principal) -> None:
    run_workflow(principal, "probe_spends", {"text": "x"})

    assert ModelCall.objects.count() == 2
    assert not TenantDay.objects.exists() and not Reservation.objects.exists()


def test_what_calls_have_used_takes_the_place_of_what_they_had_reserved(principal: Principal, settings: Any) -> None:
    settings.AGENTAPP_MODEL = MODEL
    budget(tokens_per_day=10_000, cost_usd_per_day=5)

    task = run_workflow(principal, "probe_spends", {"text": "x"})

    assert task.state == "completed" and used() == [2 * EACH]
    assert TenantDay.objects.get().cost_usd == sum(call.cost_usd for call in ModelCall.objects.all()) > 0
    assert not Reservation.objects.exists()


def test_embeddings_are_of_the_budget_too(principal: Principal, settings: Any) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "text-embedding-3-small"
    budget(cost_usd_per_day=5)

    run_workflow(principal, "probe_spends_on_vectors", {"text": "x"})

    assert used() == [EACH] and not Reservation.objects.exists()


def test_when_it_is_used_up_jobs_wait_for_the_next_day_and_lose_no_attempt(
    principal: Principal, clock: clock_module.Clock
) -> None:
    budget(tokens_per_day=2_000)
    task = run_workflow(principal, "probe_spends", {"text": "x"})

    # The second call of the first attempt did not fit. At its next claim the gate stops the job.
    assert (the_job(task).state, the_job(task).attempt) == ("retryable", 0)
    make_due(clock, 5)
    drain(task)
    waiting = the_job(task)
    (blocker,) = waiting.blocked_by or [{}]
    midnight = (clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (waiting.state, waiting.attempt, waiting.scheduled_at) == ("scheduled", 0, midnight)
    assert (blocker["scope"], blocker["why"], blocker["name"]) == ("budget", "budget", "sample")
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"handed_back"}
    assert GateChange.objects.filter(target=limit(principal).key, action="used up").count() == 1

    # Another task meets the gate at its claim, and calls nothing.
    calls = ModelCall.objects.count()
    other = run_workflow(principal, "probe_spends", {"text": "y"})
    assert the_job(other).state == "scheduled" and ModelCall.objects.count() == calls

    # The rest of this day was too small for both calls; tomorrow each has a day of its own.
    Gate.objects.get().delete()
    budget(tokens_per_day=4_500)
    clock.set(midnight)
    make_due(clock, 1)
    drain()
    assert {the_job(task).state, the_job(other).state} == {"completed"}
    assert len(used()) == 2


def test_a_budget_that_is_raised_lets_what_waits_go_on(principal: Principal, clock: clock_module.Clock) -> None:
    gate = budget(tokens_per_day=2_000)
    task = run_workflow(principal, "probe_spends", {"text": "x"})
    make_due(clock, 5)
    drain(task)
    assert the_job(task).state == "scheduled" and due_moves.wake_parked(limit=10) == 0

    gates.save(OPERATOR, gate, {"tokens_per_day": 100_000})

    assert limit(principal).closed_until is None
    assert due_moves.wake_parked(limit=10) == 1
    make_due(clock, 1)
    drain(task)
    assert the_job(task).state == "completed"


def test_a_budget_holds_from_what_was_called_before_it_on_the_same_day(principal: Principal) -> None:
    run_workflow(principal, "probe_spends", {"text": "x"})
    budget(tokens_per_day=10_000)

    run_workflow(principal, "probe_spends", {"text": "x"})

    assert used() == [4 * EACH]


def test_a_gate_that_is_made_again_counts_what_was_called_without_it(principal: Principal) -> None:
    gate = budget(tokens_per_day=100_000)
    run_workflow(principal, "probe_spends", {"text": "x"})
    assert used() == [2 * EACH]
    gate_moves.remove(gate, actor="test")
    run_workflow(principal, "probe_spends", {"text": "x"})
    assert used() == [2 * EACH]

    budget(tokens_per_day=100_000)
    assert used() == [4 * EACH]
    # What nobody knows of a call, and was counted, stays.
    TenantDay.objects.update(tokens=9 * EACH)
    budget_again = Gate.objects.get(scope="budget")
    gate_moves.keep(budget_again, actor="test")
    assert used() == [9 * EACH]


def test_the_smallest_costs_are_counted_too(principal: Principal, odd: OddServer, settings: Any) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "text-embedding-3-small"
    budget(cost_usd_per_day=5)
    data = [{"index": 0, "embedding": [0.1, 0.2]}]
    odd.answer = lambda body: whole({"data": data, "usage": {"prompt_tokens": 10}})
    for _ in range(3):
        run_workflow(principal, "probe_spends_on_vectors", {"text": "x"})

    assert TenantDay.objects.get().cost_usd == Decimal("0.0000006")


def test_a_model_without_a_known_price_is_not_called_under_a_budget_of_money(
    principal: Principal, settings: Any, clock: clock_module.Clock
) -> None:
    settings.AGENTAPP_MODEL = "llama-in-the-cellar"
    gate = budget(cost_usd_per_day=5)

    task = run_workflow(principal, "probe_spends", {"text": "x"})

    assert not ModelCall.objects.exists() and the_job(task).state == "retryable"
    assert (limit(principal).mode, limit(principal).mode_by) == ("paused", "budget")
    assert "llama-in-the-cellar is not known" in limit(principal).mode_reason
    gates.save(OPERATOR, gate, {"tokens_per_day": 10_000, "cost_usd_per_day": None})
    gates.set_mode(OPERATOR, "budget", "sample", KeyMode.OPEN, reason="")
    make_due(clock, 5)
    drain(task)
    assert the_job(task).state == "completed"


def test_documents_and_facts_that_the_web_process_embeds_are_recorded_and_within_the_budget(
    principal: Principal, settings: Any
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "text-embedding-3-small"
    person = Principal(frozenset({"documents:write", "memories:write", "memories:read"}), principal.tenant_ids)

    documents.load(person, source="a.md", title="A", text="# A\n\nSomething to read.\n")
    memories.write(person, about="a@example.org", text="Likes tea.")
    calls = ModelCall.objects.order_by("id")
    assert [(call.workflow_id, call.is_embedding, call.prompt_tokens) for call in calls] == [(None, True, EACH)] * 2
    assert all(call.cost_usd > 0 for call in calls)

    gate = budget(tokens_per_day=2 * EACH + 60)
    documents.load(person, source="a.md", title="A", text="# A\n\nSomething else to read.\n")
    assert used() == [3 * EACH] and not Reservation.objects.exists()
    with pytest.raises(Unavailable, match="budget"):
        documents.load(person, source="b.md", title="B", text="# B\n\nMore.\n")
    assert ModelCall.objects.count() == 3

    gates.save(OPERATOR, gate, {"tokens_per_day": None, "cost_usd_per_day": 5})
    # Else the model of their vectors would be asked, until all are embedded again.
    Document.objects.all().delete()
    settings.AGENTAPP_EMBEDDING_MODEL = "vectors-of-the-cellar"
    with pytest.raises(ModelRefused, match="price"):
        documents.load(person, source="b.md", title="B", text="# B\n\nMore.\n")


def test_a_call_that_fits_into_no_day_stops_nobody_else(principal: Principal) -> None:
    gate_moves.know([f"budget:{principal.tenant_id}"])
    budget(tokens_per_day=900)

    task = run_workflow(principal, "probe_spends", {"text": "x"})

    letter = the_job(task)
    assert letter.state == "dead_lettered" and "more than the budget of a whole day" in (letter.error or {})["message"]
    assert limit(principal).closed_until is None and not TenantDay.objects.exists()


def test_an_answer_that_does_not_fit_its_schema_was_paid_for(principal: Principal, odd: OddServer) -> None:
    odd.answer = lambda body: whole({**completion({"content": "no JSON"}), "model": MODEL})
    budget(tokens_per_day=100_000)

    run_workflow(principal, "probe_spends_on_data", {"text": "x"})

    assert used()[0] > 1_000 and not Reservation.objects.exists()


def test_the_price_of_the_model_that_was_asked_counts_where_that_of_the_answer_is_not_known(
    principal: Principal, odd: OddServer, settings: Any
) -> None:
    settings.AGENTAPP_MODEL = MODEL
    said = {"prompt_tokens": 1_000, "completion_tokens": 100}
    odd.answer = lambda body: whole({**completion({"content": "Yes."}), "model": "deployment-7", "usage": said})
    budget(cost_usd_per_day=5)

    run_workflow(principal, "probe_spends", {"text": "x"})

    assert not ModelCall.objects.filter(is_priced=True).exists()
    assert TenantDay.objects.get().cost_usd > 0
