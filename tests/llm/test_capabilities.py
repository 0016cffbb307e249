"""A model that refuses a part of a request is asked in another form at once, and that is remembered. [C7] [F1]"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock as clock_module
from agentapp.errors import InvalidModelOutput, ModelRefused, RateLimited
from agentapp.llm import client, learned
from agentapp.llm.capabilities import MOST_PROBES
from agentapp.llm.client import Message, OfferedTool, Reply
from agentapp.models import ModelCapability
from tests.llm.odd_server import Json, Odd, OddServer, chunk, completion, events, whole

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["count", "kind"],
    "properties": {
        "count": {"type": "integer", "minimum": 1, "maximum": 99, "description": "how many"},
        "kind": {"type": "string", "pattern": "^[a-z]+$"},
    },
}
DATA = {"count": 40, "kind": "oak"}
# The same refusal, as different providers write it.
DEEPSEEK = {"error": {"message": "This response_format type is unavailable now", "code": "invalid_request_error"}}
MISTRAL = {
    "object": "error", "type": "invalid_request_error", "param": None, "code": None,
    "message": {"detail": [{
        "type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "input": True,
        "msg": "Extra inputs are not permitted",
    }]},
}  # fmt: skip
GEMINI = [{"error": {"code": 400, "message": 'Unknown name "temperature".', "status": "INVALID_ARGUMENT"}}]
REASONING = {"error": {"message": "Unsupported: 'max_tokens'. Use 'max_completion_tokens'.", "param": "max_tokens"}}
OPENROUTER = {"error": {"message": "No endpoints found that support the parameters", "code": 404}}
GATEWAY = {"detail": "response_format: unknown field"}
TWO = {"error": "stream_options and temperature are unknown"}
UNNAMED = {"error": {"message": "Bad request."}}


def ask(**more: Any) -> Reply:
    return client.complete([Message("system", "Count."), Message("user", "How many trees?")], timeout_s=20, **more)


def refuse(odd: OddServer, has: Callable[[Json], bool], refusal: Any, *, status: int = 400) -> None:
    """Let the provider refuse what `has` finds in a request, and answer everything else."""
    text = json.dumps(DATA)

    def answer(body: Json) -> Odd:
        if has(body):
            return whole(refusal, status=status)
        if body.get("stream"):
            return events(chunk({"content": text}), chunk({}, finish="stop"))
        return whole(completion({"content": text}))

    odd.answer = answer


def has_format(*kinds: str) -> Callable[[Json], bool]:
    return lambda body: body.get("response_format", {}).get("type") in kinds


def has_any(*names: str) -> Callable[[Json], bool]:
    return lambda body: bool(set(names) & set(body))


def has_system(body: Json) -> bool:
    return any(message["role"] == "system" for message in body["messages"])


EVERYTHING = {"schema": SCHEMA, "max_tokens": 50, "stream": True}
DEFAULT = {
    "format": "json_schema", "limit": "max_tokens", "usage": True, "temperature": True, "system": True,
    "one_call": True, "parallel": True, "extra": True, "thought": False,
}  # fmt: skip
PLAINEST = {"format": "text", "limit": "", "usage": False, "temperature": False, "system": False}
CASES: dict[str, tuple[Callable[[Json], bool], Any, int, Json]] = {
    "json_schema (DeepSeek)": (has_format("json_schema"), DEEPSEEK, 400, {"format": "json_object"}),
    "any format (a gateway)": (has_format("json_schema", "json_object"), GATEWAY, 422, {"format": "text"}),
    "json_schema, unnamed": (has_format("json_schema"), UNNAMED, 400, {"format": "json_object"}),
    "stream_options (Mistral)": (has_any("stream_options"), MISTRAL, 422, {"usage": False}),
    "stream_options, unnamed": (has_any("stream_options"), UNNAMED, 400, {"usage": False}),
    "max_tokens (OpenAI)": (has_any("max_tokens"), REASONING, 400, {"limit": "max_completion_tokens"}),
    "max_tokens, unnamed text": (has_any("max_tokens"), "no", 400, {"limit": "max_completion_tokens"}),
    "both limits": (has_any("max_tokens", "max_completion_tokens"), REASONING, 400, {"limit": ""}),
    "temperature (Gemini)": (has_any("temperature"), GEMINI, 400, {"temperature": False}),
    "routes (OpenRouter)": (has_format("json_schema"), OPENROUTER, 404, {"format": "json_object"}),
    "system (vLLM with Gemma)": (
        has_system,
        {"message": "System role not supported", "code": 400},
        400,
        {"system": False},
    ),
    "system, unnamed": (has_system, UNNAMED, 400, {"system": False}),
    "two at once, unnamed": (has_any("stream_options", "temperature"), UNNAMED, 400, PLAINEST),
    "two at once": (has_any("stream_options", "temperature"), TWO, 400, {"usage": False, "temperature": False}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_form_that_a_model_takes_is_found_at_once_and_remembered(odd: OddServer, name: str) -> None:
    has, refusal, status, wanted = CASES[name]
    refuse(odd, has, refusal, status=status)

    assert ask(**EVERYTHING).data == DATA

    assert 2 <= len(odd.requests) <= MOST_PROBES + 1
    kept = ModelCapability.objects.get(base_url=odd.url, model="odd").learned["form"]
    assert kept == DEFAULT | wanted
    odd.requests.clear()
    learned.forget()  # as another process
    assert ask(**EVERYTHING).data == DATA
    assert len(odd.requests) == 1


def test_a_provider_that_does_not_know_of_parallel_calls_is_asked_without_a_word_about_them(odd: OddServer) -> None:
    refusal = {"error": {"message": "Unsupported parameter: 'parallel_tool_calls'.", "param": "parallel_tool_calls"}}
    refuse(odd, has_any("parallel_tool_calls"), refusal)
    tools = [OfferedTool("add", "Add.", {"type": "object", "properties": {}})]

    for _ in range(2):
        ask(tools=tools, parallel_tool_calls=False)
    ask(parallel_tool_calls=False)

    assert [request.get("parallel_tool_calls") for request in odd.requests] == [False, None, None, None]
    assert ModelCapability.objects.get().learned["form"] == DEFAULT | {"one_call": False}


def test_without_json_schema_the_schema_stands_in_the_prompt(odd: OddServer) -> None:
    refuse(odd, has_format("json_schema"), DEEPSEEK)

    ask(schema=SCHEMA)

    asked = odd.requests[-1]
    assert asked["response_format"] == {"type": "json_object"}
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert asked["messages"][0]["content"].startswith("Count.") and '"maximum": 99' in asked["messages"][0]["content"]


def test_strict_mode_gets_what_it_knows_and_the_answer_is_checked_against_all(odd: OddServer) -> None:
    refuse(odd, lambda _: False, None)

    ask(schema=SCHEMA)

    sent = odd.requests[-1]["response_format"]["json_schema"]
    assert sent["strict"] is True
    count = {"type": "integer", "description": "how many (maximum: 99, minimum: 1)"}
    assert sent["schema"]["properties"]["count"] == count
    assert set(sent["schema"]["properties"]["kind"]) == {"type", "description"}
    odd.answer = lambda _: whole(completion({"content": '{"count": 100, "kind": "oak"}'}))
    with pytest.raises(InvalidModelOutput, match="count: 100 is greater than the maximum"):
        ask(schema=SCHEMA)


def test_a_refusal_that_stands_is_the_first_one_and_nothing_is_learned(odd: OddServer) -> None:
    answers = [whole({"error": {"message": f"no number {number}"}}, status=400) for number in range(20)]
    odd.answer = lambda _: answers.pop(0)

    with pytest.raises(ModelRefused, match=r"no number 0$"):
        ask(**EVERYTHING)

    assert len(odd.requests) <= MOST_PROBES + 1
    assert not ModelCapability.objects.exists()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, {"message": "bad key"}),
        (404, {"message": "The model odd does not exist", "code": "model_not_found"}),
        (404, {"message": "not here"}),
        (400, {"message": "filtered", "code": "content_filter"}),
        (400, {"message": "This model's maximum context length is 8192 tokens", "code": "context_length_exceeded"}),
        (403, {"message": "temperature is not for you"}),
    ],
)
def test_what_is_not_about_the_form_is_not_asked_again(odd: OddServer, status: int, error: Json) -> None:
    odd.answer = lambda _: whole({"error": error}, status=status)

    with pytest.raises(ModelRefused):
        ask(**EVERYTHING)

    assert len(odd.requests) == 1


def test_a_form_that_has_worked_is_not_doubted_by_a_refusal_that_names_nothing(odd: OddServer) -> None:
    refuse(odd, lambda _: False, None)
    ask(schema=SCHEMA)
    odd.requests.clear()
    odd.answer = lambda _: whole(UNNAMED, status=400)

    with pytest.raises(ModelRefused, match="Bad request"):
        ask(schema=SCHEMA)

    assert len(odd.requests) == 1


def test_a_form_that_has_worked_for_another_kind_of_question_proves_nothing(odd: OddServer) -> None:
    refuse(odd, has_any("stream_options"), UNNAMED)
    ask()

    assert ask(stream=True).text == json.dumps(DATA)


def test_a_format_that_is_taken_and_ignored_is_put_into_the_prompt(odd: OddServer) -> None:
    def answer(body: Json) -> Odd:
        knows = "JSON schema" in body["messages"][0]["content"]
        return whole(completion({"content": json.dumps(DATA) if knows else "Forty, all of them oaks."}))

    odd.answer = answer

    assert ask(schema=SCHEMA).data == DATA

    assert ModelCapability.objects.get().learned["form"]["format"] == "text"


def test_an_object_behind_thought_and_in_a_fence_is_read(odd: OddServer) -> None:
    said = f'<think>Is it {{"count": 3}}?</think>Here:\n```json\n{json.dumps(DATA)}\n```'
    odd.answer = lambda _: whole(completion({"content": said}))

    assert ask(schema=SCHEMA).data == DATA


def test_a_limit_on_the_way_down_is_a_limit(odd: OddServer) -> None:
    answers = [whole(UNNAMED, status=400), whole({"error": "slow down"}, status=429)]
    odd.answer = lambda _: answers.pop(0)

    with pytest.raises(RateLimited, match="slow down"):
        ask(schema=SCHEMA)


def test_what_was_learned_is_forgotten_after_a_day(odd: OddServer, clock: clock_module.Clock) -> None:
    refuse(odd, has_format("json_schema"), DEEPSEEK)
    ask(schema=SCHEMA)
    refuse(odd, lambda _: False, None)

    clock.advance((learned.KEPT + timedelta(seconds=1)).total_seconds())
    learned.forget()
    ask(schema=SCHEMA)

    assert odd.requests[-1]["response_format"]["type"] == "json_schema"


def test_what_two_processes_learn_is_kept_together(odd: OddServer) -> None:
    refuse(odd, has_format("json_schema"), DEEPSEEK)
    ask(schema=SCHEMA)
    learned.forget()
    row = ModelCapability.objects.get()
    row.learned = {"form": {"usage": False, "limit": "no such word"}, "batch": "many", "new": 1}
    row.save()

    learned.remember(odd.url, "odd", learned.Learned(batch=8))

    found = learned.recall(odd.url, "odd")
    assert (found.form.usage, found.form.limit, found.batch) == (False, "max_tokens", 8)


def test_an_address_is_kept_without_its_secrets(odd: OddServer) -> None:
    learned.remember("https://me:secret@models.sample.test/v1?key=secret", "odd", learned.Learned(batch=8))

    assert ModelCapability.objects.get().base_url == "https://models.sample.test/v1"


def test_a_question_that_makes_a_model_say_something_else_teaches_nothing_about_it(odd: OddServer) -> None:
    odd.answer = lambda body: whole(completion({"content": "no" if "No JSON" in str(body) else json.dumps(DATA)}))

    with pytest.raises(InvalidModelOutput):
        client.complete([Message("user", "No JSON, please.")], schema=SCHEMA, timeout_s=20)
    assert not ModelCapability.objects.exists()

    learned.forget()
    odd.requests.clear()
    ask(schema=SCHEMA)
    assert [has_format("json_schema")(body) for body in odd.requests] == [True]
