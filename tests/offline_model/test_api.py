"""The server speaks the OpenAI API: completions, streams, tools, schemas, embeddings. [C7]"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.offline_model.process import OfflineModel
from tests.structure.source import ROOT

TEXT = "Our shop opens at 9 on Mondays. The garden has 40 old trees. Write to garden@example.org for a visit."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_order",
            "description": "Look up an order of a customer by its number",
            "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather forecast of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    },
]


def events(model: OfflineModel, **body: Any) -> list[dict[str, Any]]:
    """Return the chunks of a streamed answer to TEXT."""
    request = {"messages": [{"role": "user", "content": TEXT}], "stream": True, **body}
    lines = model.http.post("/v1/chat/completions", json=request).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def test_a_stream_says_the_same_as_a_whole_answer_and_ends_with_the_usage(model: OfflineModel) -> None:
    whole = model.chat(TEXT)
    chunks = events(model, stream_options={"include_usage": True})

    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 0
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_stream_has_no_usage_unless_asked(model: OfflineModel) -> None:
    chunks = events(model)
    assert chunks and all("usage" not in chunk for chunk in chunks)


def test_max_tokens_cuts_the_answer_and_says_so(model: OfflineModel) -> None:
    choice = model.chat(TEXT, max_tokens=3)["choices"][0]

    assert choice["finish_reason"] == "length" and len(choice["message"]["content"].split()) == 3


def test_plain_questions_are_answered_by_quoting_and_say_so(model: OfflineModel) -> None:
    text = model.say(TEXT)

    assert "“The garden has 40 old trees.”" in text and "offline model" in text


def test_the_fitting_tool_is_called_once_and_its_result_is_quoted(model: OfflineModel) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Please look up my order number 4711."}]
    body = {"messages": messages, "tools": TOOLS}
    choice = model.http.post("/v1/chat/completions", json=body).json()["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert choice["finish_reason"] == "tool_calls" and len(choice["message"]["tool_calls"]) == 1
    assert call["function"] == {"name": "find_order", "arguments": '{"number": 4711}'}

    messages += [choice["message"], {"role": "tool", "tool_call_id": call["id"], "content": "Shipped on Tuesday."}]
    answer = model.http.post("/v1/chat/completions", json=body).json()["choices"][0]

    assert answer["finish_reason"] == "stop"
    assert "find_order says: “Shipped on Tuesday.”" in answer["message"]["content"]


def test_two_tools_named_are_called_in_parallel_unless_forbidden(model: OfflineModel) -> None:
    both = model.chat("Use find_order for 12 and weather for Oslo.", tools=TOOLS)["choices"][0]["message"]
    one = model.chat("Use find_order for 12 and weather for Oslo.", tools=TOOLS, parallel_tool_calls=False)

    assert {call["function"]["name"] for call in both["tool_calls"]} == {"find_order", "weather"}
    assert len(one["choices"][0]["message"]["tool_calls"]) == 1


def test_no_tool_is_called_when_the_request_forbids_it(model: OfflineModel) -> None:
    assert "tool_calls" not in model.chat("find_order 12", tools=TOOLS, tool_choice="none")["choices"][0]["message"]


def test_tool_calls_stream_too(model: OfflineModel) -> None:
    calls = [chunk["choices"][0]["delta"].get("tool_calls") for chunk in events(model, tools=TOOLS) if chunk["choices"]]

    assert [call[0]["index"] for call in calls if call] == [0]


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    numbers = st.tuples(st.integers(-50, 50), st.integers(0, 60))
    return st.one_of(
        st.just({"type": "string"}),
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({"type": ["string", "null"]}),
        st.builds(
            lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, *[st.integers(0, 30)] * 2
        ),
        numbers.map(lambda pair: {"type": "integer", "minimum": pair[0], "maximum": pair[0] + pair[1]}),
        numbers.map(lambda pair: {"type": "number", "minimum": pair[0], "exclusiveMaximum": pair[0] + pair[1] + 1}),
        st.integers(1, 9).map(lambda step: {"type": "integer", "minimum": -20, "multipleOf": step}),
        st.lists(st.sampled_from(["red", "blue", "low", "high", 1, 2, None]), min_size=1, max_size=4, unique=True).map(
            lambda values: {"enum": values}
        ),
        st.sampled_from(["date", "date-time", "email", "uri", "uuid"]).map(lambda f: {"type": "string", "format": f}),
        st.just({"const": "fixed"}),
        st.just({"$ref": "#/$defs/point"}),
    )


def grow(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["name", "count", "reason", "tags", "nested", "score"])
    objects = st.dictionaries(names, inner, max_size=4).map(
        lambda found: {"type": "object", "properties": found, "required": list(found), "additionalProperties": False}
    )
    arrays = st.builds(
        lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
        inner,
        st.integers(0, 3),
        st.integers(0, 2),
    )
    return st.one_of(objects, arrays, st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some}))


SCHEMAS = st.dictionaries(
    st.sampled_from(["title", "count", "kind", "items", "verdict"]),
    st.recursive(leaves(), grow, max_leaves=6),
    max_size=5,
)
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/point"}]}},
    "required": ["x"],
}


@hypothesis_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(properties=SCHEMAS)
def test_any_small_schema_gets_a_valid_instance(model: OfflineModel, properties: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": properties, "required": list(properties), "$defs": {"point": POINT}}

    answer = model.fill(schema, TEXT)

    Draft202012Validator(schema).validate(answer)


def test_an_impossible_schema_is_refused_in_words(model: OfflineModel) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 4}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"messages": [{"role": "user", "content": TEXT}], "response_format": wanted}

    answer = model.http.post("/v1/chat/completions", json=body)

    assert answer.status_code == 400 and "no number lies between 5 and 4" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/chat/completions", "{", "not JSON"),
        ("/v1/chat/completions", "[]", "JSON object"),
        ("/v1/chat/completions", "{}", "messages must be"),
        ("/v1/embeddings", '{"input": [1]}', "input must be"),
        ("/v1/embeddings", '{"input": "a", "dimensions": 3}', "256 dimensions"),
    ],
)
def test_bad_requests_get_a_sentence(model: OfflineModel, path: str, body: str, words: str) -> None:
    answer = model.http.post(path, content=body)

    assert answer.status_code == 400 and words in answer.json()["error"]["message"]


def test_models_and_health_are_listed_and_other_paths_are_not(model: OfflineModel) -> None:
    assert "offline" in [one["id"] for one in model.http.get("/v1/models").json()["data"]]
    assert model.http.get("/healthz").json() == {"status": "ok"}
    assert model.http.get("/v1/nothing").json()["error"]["message"] == "no GET /v1/nothing here"


def vectors_of(model: OfflineModel, *texts: str, **body: Any) -> list[Any]:
    answer = model.http.post("/v1/embeddings", json={"model": "offline", "input": list(texts), **body}).json()
    return [item["embedding"] for item in answer["data"]]


def test_embeddings_are_the_same_alone_and_in_a_batch_as_numbers_and_as_base64(model: OfflineModel) -> None:
    alone = vectors_of(model, "Refunds are paid within 14 days.")[0]
    batch = vectors_of(model, "Something longer stands beside it here.", "Refunds are paid within 14 days.")[1]
    coded = vectors_of(model, "Refunds are paid within 14 days.", encoding_format="base64")[0]

    assert alone == batch and len(alone) == 256
    assert np.frombuffer(base64.b64decode(coded), dtype="<f4").tolist() == alone


def test_a_paraphrase_without_shared_words_is_nearer_than_a_stranger(model: OfflineModel) -> None:
    asked, paraphrase, stranger = (
        np.array(vector)
        for vector in vectors_of(
            model, "Can I get my money back?", "Refunds are paid within 14 days.", "The garden has forty old trees."
        )
    )

    assert asked @ paraphrase > asked @ stranger + 0.1


def test_latency_and_token_rate_can_be_set(model: OfflineModel) -> None:
    model.set_speed(latency_s=0.2, tokens_per_s=100)
    started_s = time.monotonic()
    answer = model.chat(TEXT)
    took_s = time.monotonic() - started_s

    # Only the lower bound: a slow machine may take longer.
    assert took_s >= 0.2 + len(answer["choices"][0]["message"]["content"].split()) / 100


def test_requests_are_remembered_for_tests(model: OfflineModel) -> None:
    model.chat("remember me")

    (seen,) = model.requests()
    assert seen["path"] == "/v1/chat/completions" and seen["body"]["messages"][0]["content"] == "remember me"


def test_a_rule_that_cannot_be_read_is_refused(model: OfflineModel) -> None:
    answer = model.http.post("/_control/faults", json=[{"fault": "explode"}])

    assert answer.status_code == 400 and "one of status, timeout" in answer.json()["error"]["message"]


def test_control_is_refused_beyond_this_machine_and_a_taken_port_is_named(model: OfflineModel) -> None:
    def start(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agentapp.offline_model", *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)

    port = model.url.removesuffix("/v1").rsplit(":", 1)[1]
    open_control = start("--control", "--host", "0.0.0.0", "--port", "0")
    taken = start("--port", port)

    assert open_control.returncode != 0 and "--host 127.0.0.1" in open_control.stderr
    assert taken.returncode != 0 and f"cannot listen on 127.0.0.1:{port}" in taken.stderr


def test_a_message_may_ask_for_a_refusal_of_one_schema(model: OfflineModel) -> None:
    asked = {"messages": [{"role": "user", "content": "Why? [offline model: refuse ticket]"}]}
    for name, status in (("ticket", 403), ("evaluation", 200)):
        wanted = {"type": "json_schema", "json_schema": {"name": name, "schema": {"type": "object"}}}
        answer = model.http.post("/v1/chat/completions", json={**asked, "response_format": wanted})
        assert answer.status_code == status
    assert model.http.post("/v1/chat/completions", json=asked).status_code == 200
