"""A job that runs again gives its framework the answers that it had. [C11]"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from agentapp.errors import TransientError
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job, ModelCall
from agentapp.runtime import JobContext, runner
from agentapp.runtime.process import this
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.frameworks.asking import (
    CALL,
    DOWN,
    TOOLS,
    again,
    ask,
    asked,
    body,
    echo,
    run,
    says,
    three_calls,
)
from tests.harness import be_a_worker, drain
from tests.lifecycle.effect_moves import lost
from tests.lifecycle.test_locks import take
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import Json, OddServer, chunk, completion, events, whole

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_answers_of_an_attempt_that_ended_in_between_are_not_asked_for_again(
    principal: Principal, odd: OddServer, clock: Any
) -> None:
    odd.answer = lambda request: DOWN if "re: re:" in request["messages"][-1]["content"] else echo(request)

    failed = run(principal, three_calls)
    odd.answer = echo
    done = again(failed, clock)

    assert (done.state, done.attempt) == ("completed", 2)
    assert done.output == {"found": ["first", "re: first", "re: re: first", "re: re: re: first"]}
    assert asked(odd) == ["first", "re: first", "re: re: first", "re: re: first"]
    calls = ModelCall.objects.order_by("started_at", "id").values_list("attempt", "error_class")
    assert list(calls) == [(1, ""), (1, ""), (1, "TransientError"), (2, "")]


def test_a_request_that_differs_is_asked_anew_and_the_log_says_so(
    principal: Principal, odd: OddServer, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    odd.answer = lambda request: DOWN if request["messages"][-1]["content"] == "last" else echo(request)

    def changes(ctx: JobContext) -> list[str]:
        client = ctx.model.client()
        return [ask(client, text) for text in ("same", f"attempt {ctx.attempt}", "same", "last")]

    failed = run(principal, changes)
    odd.answer = echo
    done = again(failed, clock)

    assert done.output == {"found": ["re: same", "re: attempt 2", "re: same", "re: last"]}
    assert asked(odd) == ["same", "attempt 1", "same", "last", "attempt 2", "last"]
    told = [
        getattr(record, "unused", "")
        for record in caplog.records
        if getattr(record, "event", "") == "model.asked_otherwise"
    ]
    assert told == ["2", "1"]


def streamed(client: openai.OpenAI) -> Json:
    text, calls, usage, ends = "", "", None, None
    options: Any = {"include_usage": True}
    with client.chat.completions.create(
        model="m", messages=says("Hello"), tools=TOOLS, stream=True, stream_options=options
    ) as stream:
        for piece in stream:
            usage = piece.usage or usage
            for choice in piece.choices:
                text += choice.delta.content or ""
                ends = choice.finish_reason or ends
                for call in choice.delta.tool_calls or []:
                    calls += (call.function and call.function.arguments) or ""
    return {"text": text, "calls": calls, "ends": ends, "tokens": usage and usage.total_tokens}


def test_a_stream_is_asked_for_as_a_stream_and_kept_like_an_answer(
    principal: Principal, odd: OddServer, clock: Any
) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    odd.answer = lambda request: events(
        chunk({"content": "Let me "}), chunk({"content": "see."}), chunk({"tool_calls": [{"index": 0, **CALL}]}),
        chunk({}, finish="tool_calls", usage=usage),
    )  # fmt: skip

    def streams(ctx: JobContext) -> Json:
        found = streamed(ctx.model.client())
        if ctx.attempt == 1:
            raise TransientError("This attempt ends here.")
        return found

    done = again(run(principal, streams), clock)

    said = {"text": "Let me see.", "calls": '{"a": 1}', "ends": "tool_calls", "tokens": 7}
    assert (done.state, done.output) == ("completed", {"found": said})
    assert [request["stream"] for request in odd.requests] == [True]


def test_calls_side_by_side_are_made_one_after_the_other_and_found_again_in_any_order(
    principal: Principal, odd: OddServer, clock: Any
) -> None:
    odd.answer = echo

    async def all_of(client: openai.AsyncOpenAI, texts: list[str]) -> list[str]:
        answers = await asyncio.gather(
            *(client.chat.completions.create(model="m", messages=says(text)) for text in texts)
        )
        return [answer.choices[0].message.content or "" for answer in answers]

    def gathers(ctx: JobContext) -> list[str]:
        texts = ["a", "b", "c", "d"]
        found = asyncio.run(all_of(ctx.model.async_client(), texts if ctx.attempt == 1 else texts[::-1]))
        if ctx.attempt == 1:
            raise TransientError("This attempt ends here.")
        return found

    done = again(run(principal, gathers), clock)

    assert done.output == {"found": ["re: d", "re: c", "re: b", "re: a"]}
    assert sorted(asked(odd)) == ["a", "b", "c", "d"]
    assert ModelCall.objects.count() == 4


def test_a_worker_that_ends_hands_the_job_back_between_two_calls(
    principal: Principal, odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd.answer = echo

    def is_told_to_end(ctx: JobContext) -> list[str]:
        client = ctx.model.client()
        first = ask(client, "one")
        if not ended:
            ended.append(True)
            monkeypatch.setattr(this, "draining", True)
        try:
            return [first, ask(client, "two")]
        except openai.OpenAIError:
            return []

    ended: list[bool] = []
    body.append(is_told_to_end)
    workflows.submit(principal, kind="probe_frameworks", input={})
    found = Job.objects.get()
    be_a_worker()
    runner.run(str(found.pk))
    monkeypatch.setattr(this, "draining", False)
    drain()
    found.refresh_from_db()

    assert (found.state, found.attempt, found.output) == ("completed", 1, {"found": ["re: one", "re: two"]})
    assert asked(odd) == ["one", "two"]


def test_the_records_of_answers_are_plain_json(principal: Principal, odd: OddServer) -> None:
    odd.answer = lambda _: whole(completion({"content": None, "tool_calls": [CALL]}, finish="stop"))

    def calls(ctx: JobContext) -> str:
        answer = ctx.model.client().chat.completions.create(model="m", messages=says("Add"), tools=TOOLS)
        return str(answer.choices[0].finish_reason)

    assert run(principal, calls).output == {"found": "tool_calls"}
    kept = ModelCall.objects.get().answer
    assert kept is not None and json.loads(json.dumps(kept)) == kept
    assert kept["choices"][0]["message"]["tool_calls"] == [CALL]


def test_a_worker_that_is_killed_between_two_calls_leaves_what_they_were_answered(
    principal: Principal, odd: OddServer
) -> None:
    """Nothing of its attempt is settled; the answers were committed one by one."""
    odd.answer = echo
    body.append(three_calls)
    workflows.submit(principal, kind="probe_frameworks", input={})
    killed = take(Job.objects.get())
    assert isinstance(killed, Claimed)
    first = JobContext(killed)
    client = first.model.client()
    assert [ask(client, "first"), ask(client, "re: first")] == ["re: first", "re: re: first"]

    lost(killed)
    drain()

    done = Job.objects.get()
    assert (done.state, done.attempt) == ("completed", 2)
    assert asked(odd) == ["first", "re: first", "re: re: first"]


def test_what_one_job_was_answered_is_not_given_to_another(
    principal: Principal, other_principal: Principal, odd: OddServer
) -> None:
    odd.answer = echo

    for who in (principal, principal, other_principal):
        assert run(who, lambda ctx: ask(ctx.model.client(), "Hello")).output == {"found": "re: Hello"}

    assert asked(odd) == ["Hello"] * 3
