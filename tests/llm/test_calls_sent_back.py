"""Calls of tools as single providers want them back, refuse them themselves, or end their streams."""

from __future__ import annotations

import pytest

from agentapp.errors import InvalidModelOutput, TransientError
from agentapp.llm.client import Message
from agentapp.llm.tool_calls import ToolCall
from tests.llm.odd_server import Json, Odd, OddServer, chunk, completion, events, whole
from tests.llm.test_tool_calls import COUNT_TREES, TREES, ask, call, calls_of, fragment

pytestmark = pytest.mark.django_db

SIGNED = {"google": {"thought_signature": "c2ln"}}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_what_a_provider_puts_beside_a_call_is_sent_back_with_it(odd: OddServer, streamed: bool) -> None:
    """Gemini refuses a call of its own that comes back without the signature of the thought behind it."""
    message = {"tool_calls": [call(extra_content=SIGNED, index=0)]}
    odd.answer = lambda _: events(chunk(message), chunk({}, finish="stop")) if streamed else whole(completion(message))

    called = ask(stream=streamed).calls
    odd.answer = lambda _: whole(completion({"content": "40 trees"}))
    ask([Message("user", "How many?"), Message("assistant", "", calls=called), Message("tool", "40", call_id="a")])

    assert odd.requests[-1]["messages"][1]["tool_calls"][0]["extra_content"] == SIGNED


def test_a_server_that_does_not_know_it_gets_calls_without_it(odd: OddServer) -> None:
    def answer(body: Json) -> Odd:
        if any("extra_content" in one for message in body["messages"] for one in message.get("tool_calls") or []):
            return whole({"error": {"message": "Extra inputs are not permitted: extra_content"}}, status=400)
        return whole(completion({"content": "40 trees"}))

    odd.answer = answer
    called = (ToolCall("a", "count", TREES, SIGNED),)

    for _ in range(2):
        said = [
            Message("user", "How many?"),
            Message("assistant", "", calls=called),
            Message("tool", "40", call_id="a"),
        ]
        assert ask(said).text == "40 trees"
    assert len(odd.requests) == 3, "what a refusal has taught is remembered"


@pytest.mark.parametrize(
    "words",
    [
        "Missing `reasoning_content` field in the assistant message at message index 2",
        "The `reasoning_content` in the thinking mode must be passed back to the API: it was missing before tool calls",
    ],
)
def test_a_model_that_wants_to_read_its_thoughts_again_gets_them(odd: OddServer, words: str) -> None:
    def answer(body: Json) -> Odd:
        if not all("reasoning_content" in one for one in body["messages"] if one["role"] == "assistant"):
            return whole({"error": {"message": words, "code": "invalid_request_error"}}, status=400)
        return whole(completion({"content": "40 trees"}))

    odd.answer = answer
    called = Message("assistant", "", calls=(ToolCall("a", "count", TREES),), reasoning="I had better count.")

    said = ask([Message("user", "How many?"), called, Message("tool", "40", call_id="a")])

    assert said.text == "40 trees"
    assert odd.requests[-1]["messages"][1]["reasoning_content"] == "I had better count."


@pytest.mark.parametrize("code", ["tool_use_failed", "json_validate_failed"])
def test_a_malformed_call_that_the_provider_refuses_itself_is_tried_again(odd: OddServer, code: str) -> None:
    words = "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details."
    odd.answer = lambda _: whole({"error": {"message": words, "code": code, "failed_generation": "<f"}}, status=400)

    with pytest.raises(InvalidModelOutput, match="Failed to call"):
        ask()

    assert len(odd.requests) == 1, "another form of the request does not help"


def test_complete_calls_of_a_stream_that_never_says_why_it_ends_are_calls(odd: OddServer) -> None:
    odd.answer = lambda _: events(chunk(fragment(TREES, id="a", name="count")))

    assert calls_of(ask(stream=True)) == COUNT_TREES


@pytest.mark.parametrize(("arguments", "done"), [('{"of": ', True), (TREES, False)])
def test_cut_calls_of_such_a_stream_are_none(odd: OddServer, arguments: str, done: bool) -> None:
    odd.answer = lambda _: events(chunk(fragment(arguments, id="a", name="count")), done=done)

    with pytest.raises(TransientError, match="before it was complete"):
        ask(stream=True)
