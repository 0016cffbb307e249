"""What calls cost is recorded and added up; a price that nobody knows is not 0."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from agentapp import registry
from agentapp.api import shapes
from agentapp.flows import Flow, Step
from agentapp.models import ModelCall, Workflow
from agentapp.runtime import JobContext, job
from agentapp.services.principals import Principal
from tests import kinds
from tests.harness import run_workflow
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import Json, Odd, OddServer, completion, whole

pytestmark = [pytest.mark.django_db(transaction=True)]

USED = {"prompt_tokens": 1_000, "completion_tokens": 100}


@job(queue="retrieval", scopes={"model:embed"})
def probe_embeds(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"vectors": len(ctx.model.embed([text, text]).vectors)}


@job(queue="model", scopes={"model:call"})
def probe_asks_twice(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"texts": [ctx.model.complete(text).text for _ in range(2)]}


for kind in ("probe_embeds", "probe_asks_twice"):
    registry.add_flow(
        Flow(kind=kind, version=1, input=kinds.Anything, stages=(Step(kind, bind={"text": "input.text"}),))
    )


def answering(model: str) -> Callable[[Json], Odd]:
    def answer(body: Json) -> Odd:
        if "input" in body:
            data = [{"index": n, "embedding": [0.1, 0.2]} for n in range(len(body["input"]))]
            return whole({"data": data, "usage": {"prompt_tokens": 1_000}})
        return whole({**completion({"content": "Yes."}), "model": model, "usage": USED})

    return answer


def cost_of(task: Workflow) -> Any:
    return shapes.task(Workflow.objects.get(pk=task.pk))["cost"]


def test_the_price_of_the_model_that_answered_counts(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering("gpt-4o-mini")

    task = run_workflow(principal, "probe_asks_twice")

    calls = list(ModelCall.objects.all())
    assert [(call.is_priced, call.is_embedding, call.prompt_tokens) for call in calls] == [(True, False, 1_000)] * 2
    assert calls[0].cost_usd > 0
    assert cost_of(task) == {"tokens": 2_200, "usd": float(sum(call.cost_usd for call in calls)), "unpriced_calls": 0}


def test_a_model_without_a_price_is_said_to_have_none(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering("llama-in-the-cellar")

    task = run_workflow(principal, "probe_asks_twice")

    assert set(ModelCall.objects.values_list("cost_usd", "is_priced")) == {(Decimal(0), False)}
    assert cost_of(task) == {"tokens": 2_200, "usd": 0.0, "unpriced_calls": 2}


@pytest.mark.parametrize(("model", "is_priced"), [("text-embedding-3-small", True), ("odd", False)])
def test_embeddings_are_recorded_and_priced_like_any_call(
    principal: Principal, odd: OddServer, settings: Settings, model: str, is_priced: bool
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = model
    odd.answer = answering("")

    task = run_workflow(principal, "probe_embeds")

    call = ModelCall.objects.get()
    assert (call.model, call.is_embedding, call.prompt_tokens, call.is_priced) == (model, True, 1_000, is_priced)
    assert (call.cost_usd > 0) is is_priced
    assert cost_of(task) == {"tokens": 1_000, "usd": float(call.cost_usd), "unpriced_calls": int(not is_priced)}


def test_embeddings_that_fail_are_recorded(principal: Principal, odd: OddServer) -> None:
    run_workflow(principal, "probe_embeds")

    call = ModelCall.objects.get()
    assert call.is_embedding and call.error_class and call.prompt_tokens == 0


def test_without_an_embedding_model_there_is_no_call(principal: Principal, odd: OddServer, settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = ""

    run_workflow(principal, "probe_embeds")

    assert not ModelCall.objects.exists()
