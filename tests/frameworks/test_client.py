"""Model calls of an agent framework: of the chosen model, recorded, and in charge of how the attempt ends. [C11]"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import openai
import pytest

from agentapp.lifecycle import gates as gate_moves
from agentapp.llm import framework_client
from agentapp.models import Gate, ModelCall, ModelChoice
from agentapp.runtime import JobContext
from agentapp.services import model_choices
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.frameworks.asking import (
    BUSY,
    DOWN,
    EMPTY,
    NO,
    OPERATOR,
    again,
    ask,
    asked,
    echo,
    run,
    says,
    three_calls,
)
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import Odd, OddServer, completion, whole

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_a_call_is_one_of_the_chosen_model_and_recorded_like_any_other(principal: Principal, odd: OddServer) -> None:
    odd.answer = echo
    choice = model_choices.save(OPERATOR, ModelChoice(), {"model": "chosen", "temperature": 0.5})

    done = run(principal, lambda ctx: ask(ctx.model.client(), "Hello"))

    assert (done.state, done.output) == ("completed", {"found": "re: Hello"})
    (request,) = odd.requests
    assert (request["model"], request["temperature"]) == (choice.model, 0.5)
    call = ModelCall.objects.get()
    assert (call.asked_model, call.job_id, call.attempt, call.error_class) == ("chosen", done.pk, 1, "")
    assert done.model == "chosen" and call.prompt_tokens > 0


def test_a_framework_gets_neither_the_key_nor_another_address(principal: Principal, odd: OddServer) -> None:
    def elsewhere(ctx: JobContext) -> list[str]:
        client = ctx.model.client()
        refused = []
        for other in (client.with_options(base_url=odd.url), client):
            with pytest.raises(openai.BadRequestError) as error:
                other.models.list()
            refused.append(error.value.message)
        with pytest.raises(openai.BadRequestError, match="set the framework to chat completions"):
            client.responses.create(model="m", input="Hello")
        return [client.api_key, *refused]

    done = run(principal, elsewhere)

    assert done.state == "completed" and done.output is not None and not odd.requests
    key, other, list_of_models = done.output["found"]
    assert key == framework_client.KEY
    assert "and not 127.0.0.1" in other and "and not GET /v1/models" in list_of_models


@pytest.mark.parametrize(
    ("refusal", "seen", "state", "recorded"),
    [
        (BUSY, openai.RateLimitError, "retryable", "RateLimited"),
        (DOWN, openai.InternalServerError, "retryable", "TransientError"),
        (EMPTY, openai.RateLimitError, "dead_lettered", "QuotaExhausted"),
    ],
    ids=["limited", "out", "no money"],
)  # fmt: skip
def test_a_failure_decides_about_the_attempt_even_if_the_framework_swallows_it(
    principal: Principal, odd: OddServer, refusal: Odd, seen: type[Exception], state: str, recorded: str
) -> None:
    odd.answer = lambda _: refusal

    def swallows(ctx: JobContext) -> str:
        for text in ("one", "two"):
            with pytest.raises(seen):
                ask(ctx.model.client().with_options(max_retries=3), text)
        return "All is well."

    found = run(principal, swallows)

    assert (found.state, found.output) == (state, None)
    assert (found.error or {})["class"] == recorded
    assert asked(odd) == ["one"]


def test_a_refused_request_is_the_frameworks_to_handle(principal: Principal, odd: OddServer) -> None:
    odd.answer = lambda request: NO if request["messages"][-1]["content"] == "long" else echo(request)

    def shortens(ctx: JobContext) -> str:
        with pytest.raises(openai.BadRequestError, match="too long"):
            ask(ctx.model.client(), "long")
        return ask(ctx.model.client(), "short")

    assert run(principal, shortens).output == {"found": "re: short"}

    def gives_up(ctx: JobContext) -> str:
        try:
            return ask(ctx.model.client(), "long")
        except openai.OpenAIError as error:
            raise RuntimeError("The framework failed.") from error

    given_up = run(principal, gives_up)
    assert (given_up.state, (given_up.error or {})["class"]) == ("dead_lettered", "PromptTooLong")


def test_what_is_not_taken_is_said(principal: Principal, odd: OddServer) -> None:
    def asks_for_two(ctx: JobContext) -> None:
        with pytest.raises(openai.BadRequestError, match="does not take the parameter n"):
            ctx.model.client().chat.completions.create(model="m", messages=says("Hello"), n=2)

    assert run(principal, asks_for_two).state == "completed" and not odd.requests


def test_a_budget_ends_the_attempt_before_the_call_that_it_does_not_allow(principal: Principal, odd: OddServer) -> None:
    odd.answer = echo

    def spends(ctx: JobContext) -> list[str]:
        client, found = ctx.model.client(budget={"turns": 2, "tokens": 5_000}), []
        for text in ("one", "two", "three"):
            try:
                found.append(ask(client, text))
            except openai.RateLimitError as error:
                found.append(str(error.code))
        return found

    stopped = run(principal, spends)

    assert (stopped.state, asked(odd)) == ("dead_lettered", ["one", "two"])
    assert all(request["max_tokens"] < 5_000 for request in odd.requests)
    assert (stopped.error or {})["message"] == (
        "The budget does not allow another call of the model. 2 of 2 turns are used."
    )


def test_a_closed_gate_keeps_the_job_waiting_as_any_other(principal: Principal, odd: OddServer) -> None:
    model_choices.save(OPERATOR, ModelChoice(), {"model": "small"})
    gate_moves.set_mode("model:small", KeyMode.PAUSED, actor="test", reason="a test")

    assert run(principal, three_calls).state == "scheduled" and not odd.requests


def test_a_refusal_is_found_in_a_group_of_errors(principal: Principal, odd: OddServer) -> None:
    odd.answer = lambda _: NO

    async def both(client: openai.AsyncOpenAI) -> None:
        asks = [client.chat.completions.create(model="m", messages=says(text)) for text in ("one", "two")]
        failed = [
            error for error in await asyncio.gather(*asks, return_exceptions=True) if isinstance(error, Exception)
        ]
        raise ExceptionGroup("Two calls failed.", failed)

    found = run(principal, lambda ctx: asyncio.run(both(ctx.model.async_client())))

    assert (found.state, (found.error or {})["class"]) == ("dead_lettered", "PromptTooLong")


def test_a_budget_of_the_day_makes_the_job_wait_without_an_attempt_that_counts(
    principal: Principal, odd: OddServer, clock: Any
) -> None:
    used = {"prompt_tokens": 1_000, "completion_tokens": 100}
    odd.answer = lambda _: whole(completion({"content": "Yes."}, usage=used))
    day = gate_moves.keep(Gate(scope="budget", pattern="*", tokens_per_day=1_500), actor="test")

    def asks_twice(ctx: JobContext) -> list[str]:
        client = ctx.model.client()
        found = []
        for text in ("one", "two"):
            with contextlib.suppress(openai.RateLimitError):
                answer = client.chat.completions.create(model="m", messages=says(text), max_tokens=1_000)
                found.append(answer.choices[0].message.content or "")
        return found

    waiting = run(principal, asks_twice)
    before = (waiting.state, waiting.output)
    gate_moves.keep(Gate(pk=day.pk, scope="budget", pattern="*", tokens_per_day=5_000), actor="test")
    done = again(waiting, clock)

    assert before == ("retryable", None)
    assert (done.state, done.attempt, done.output) == ("completed", 1, {"found": ["Yes.", "Yes."]})
    assert asked(odd) == ["one", "two"]
