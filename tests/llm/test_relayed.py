"""What of a framework's request is sent on, in the form that a model takes. [C11]"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agentapp.errors import ModelRefused
from agentapp.llm import relayed
from agentapp.llm.answers import Reply
from agentapp.llm.capabilities import Form
from agentapp.llm.relayed import Relayed, Request

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "In English."}]},
    {"role": "user", "content": "Where?"},
]


def request(**more: Any) -> Request:
    return Request.of({"model": "theirs", "messages": MESSAGES, **more})


def sent(asked: Request, form: Form) -> dict[str, Any]:
    question = Relayed(
        asked, model="ours", max_tokens=asked.max_tokens, temperature=asked.temperature, is_streamed=asked.is_streamed
    )
    return question.body(form)


def test_the_model_is_ours_and_what_is_about_the_answer_is_theirs() -> None:
    asked = request(stop=["x"], max_completion_tokens=9, temperature=0.25, user="u", store=True, seed=None, n=1)

    assert sent(asked, Form()) == {
        "model": "ours", "stop": ["x"], "max_tokens": 9, "temperature": 0.25,
        "messages": [{"role": "system", "content": "Be brief.\n\nIn English."}, MESSAGES[2]],
    }  # fmt: skip


def test_a_model_that_refuses_a_part_of_it_is_asked_in_another_form() -> None:
    asked = request(response_format=FORMAT, max_tokens=9, temperature=1, stream=True)

    told = sent(asked, Form(format="json_object", limit="max_completion_tokens", usage=False, temperature=False))
    plain = sent(asked, Form(format="text", limit="", system=False))

    assert told["response_format"] == {"type": "json_object"} and "city" in told["messages"][0]["content"]
    assert told["max_completion_tokens"] == 9 and told["stream"] and not {"temperature", "stream_options"} & set(told)
    assert "response_format" not in plain and [message["role"] for message in plain["messages"]] == ["user"]
    assert plain["messages"][0]["content"].startswith("Be brief.") and "Where?" in plain["messages"][0]["content"]


def test_requests_are_the_same_by_what_the_answer_depends_on() -> None:
    first = request(temperature=0)

    assert request(temperature=0, stream=True, user="somebody", model="another").sha256 == first.sha256
    assert request(temperature=1).sha256 != first.sha256
    assert Request.of({"messages": MESSAGES[2:], "temperature": 0}).sha256 != first.sha256


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "messages must be"),
        ({"messages": []}, "messages must be"),
        ({"messages": ["Hello"]}, "messages must be"),
        ({"messages": MESSAGES, "n": 2}, "parameter n"),
        ({"messages": MESSAGES, "web_search_options": {}}, "parameter web_search_options"),
        ({"messages": MESSAGES, "tools": [{"type": "web_search"}]}, "tools must be"),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(body: Any, words: str) -> None:
    with pytest.raises(ModelRefused, match=words):
        Request.of(body)


@pytest.mark.parametrize(("finish", "told"), [("stop", "stop"), ("length", "length"), ("odd_end", "stop")])
def test_an_answer_has_an_end_that_frameworks_know(finish: str, told: str) -> None:
    reply = Reply(
        text="Paris", model="m", prompt_tokens=3, completion_tokens=1, cost_usd=Decimal(0), latency_s=0, data=None,
        finish_reason=finish, ttft_s=None,
    )  # fmt: skip

    answer = relayed.completion(reply, created_s=1)

    assert answer["choices"][0]["finish_reason"] == told
    assert answer == relayed.completion(reply, created_s=1)
    assert b"".join(relayed.events(answer, tells_usage=False)).count(b"data: ") == 3
