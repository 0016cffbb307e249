"""A table of the ways in which a model calls tools, and what must come out of each, whole and as a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentapp.errors import InvalidModelOutput, ModelRefused
from agentapp.llm import client
from agentapp.llm.client import Message, OfferedTool, Reply
from agentapp.llm.tool_calls import MOST_CALLS, Gathered, ToolCall, described
from tests.llm.odd_server import Json, Odd, OddServer, chunk, completion, events, whole

pytestmark = pytest.mark.django_db

PARAMETERS = {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]}
TOOLS = (OfferedTool("count", "Count things.", PARAMETERS), OfferedTool("look", "Look around.", PARAMETERS))
TREES, BIRDS = '{"of": "trees"}', '{"of": "birds"}'


def ask(messages: list[Message] | None = None, **more: Any) -> Reply:
    asked = messages or [Message("user", "How many trees?")]
    return client.complete(asked, timeout_s=20, tools=TOOLS, **more)


def call(arguments: Any = TREES, *, id: Any = "a", name: Any = "count", **more: Any) -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


COUNT_TREES = [("count", TREES)]
BOTH = [("count", TREES), ("count", BIRDS)]
# What a message holds, and the calls that it makes: a name and what the model wrote as arguments.
MESSAGES: dict[str, tuple[Json, list[tuple[str, str]]]] = {
    "a call": ({"content": None, "tool_calls": [call()]}, COUNT_TREES),
    "an empty text": ({"content": "", "tool_calls": [call()]}, COUNT_TREES),
    "no text": ({"tool_calls": [call()]}, COUNT_TREES),
    "two at once": ({"content": None, "tool_calls": [call(index=0), call(BIRDS, id="b", index=1)]}, BOTH),
    "two without an index": ({"content": None, "tool_calls": [call(), call(BIRDS, id="b")]}, BOTH),
    "two, both with the index 0 (Gemini)": (
        {"content": None, "tool_calls": [call(index=0), call(BIRDS, id="b", index=0)]}, BOTH,
    ),
    "two under one id": ({"content": None, "tool_calls": [call(index=0), call(BIRDS, index=1)]}, BOTH),
    "no ids": ({"tool_calls": [call(id=None, index=0), call(BIRDS, id="", index=1)]}, BOTH),
    "no ids, no index": ({"tool_calls": [call(id=None), call(BIRDS, id=None)]}, BOTH),
    "arguments as an object (Ollama)": ({"tool_calls": [call({"of": "trees"})]}, COUNT_TREES),
    "an object with what no text may hold": (
        {"tool_calls": [call({"of": "\ud800"})]}, [("count", '{"of": "\ufffd"}')],
    ),
    "no arguments": ({"tool_calls": [call(None)]}, [("count", "")]),
    "half of the arguments": ({"tool_calls": [call('{"of": ')]}, [("count", '{"of": ')]),
    "a tool that nobody offered": ({"tool_calls": [call(name="rm")]}, [("rm", TREES)]),
    "a call without a name": ({"tool_calls": [call(name=None)]}, [("", TREES)]),
    "what no text may hold": ({"tool_calls": [call('{"of": "a\0"}')]}, [("count", '{"of": "a\ufffd"}')]),
    "one call that is no list": ({"tool_calls": call()}, COUNT_TREES),
    "the legacy call": ({"content": None, "function_call": {"name": "count", "arguments": TREES}}, COUNT_TREES),
    "thought beside it": ({"content": None, "reasoning_content": "hm", "tool_calls": [call()]}, COUNT_TREES),
    "thought that is not closed": ({"content": "<think>hm", "tool_calls": [call()]}, COUNT_TREES),
    "written as JSON": ({"content": '{"name": "count", "arguments": {"of": "trees"}}'}, COUNT_TREES),
    "written as JSON in a fence": (
        {"content": '```json\n{"name": "count", "parameters": {"of": "trees"}}\n```'}, COUNT_TREES,
    ),
    "written between marks (Hermes)": (
        {"content": 'I count.\n<tool_call>\n{"name": "count", "arguments": {"of": "trees"}}\n</tool_call>'},
        COUNT_TREES,
    ),
    "written as a list (Mistral)": (
        {"content": '[TOOL_CALLS][{"name": "count", "arguments": {"of": "trees"}}]'}, COUNT_TREES,
    ),
}  # fmt: skip


def calls_of(reply: Reply) -> list[tuple[str, str]]:
    return [(each.name, each.arguments) for each in reply.calls]


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "length"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", MESSAGES)
def test_a_call_is_read_whatever_its_shape_and_its_end(odd: OddServer, name: str, streamed: bool, finish: str) -> None:
    message, wanted = MESSAGES[name]
    odd.answer = lambda _: (
        events(chunk(message), chunk({}, finish=finish)) if streamed else whole(completion(message, finish=finish))
    )

    reply = ask(stream=streamed)

    assert calls_of(reply) == wanted
    assert len({each.id for each in reply.calls}) == len(wanted) and all(each.id for each in reply.calls)


def fragment(arguments: Any = None, *, index: Any = 0, id: Any = None, name: Any = None) -> Json:
    """A piece of a call; what it does not say is not in it."""
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    about = {key: value for key, value in {"index": index, "id": id}.items() if value is not None}
    return {"tool_calls": [{**about, "function": function}]}


FRAGMENTS: dict[str, tuple[list[Json], list[tuple[str, str]]]] = {
    "as the specification has it": (
        [fragment("", id="a", name="count"), fragment('{"of": '), fragment('"trees"}'),
         fragment("", index=1, id="b", name="count"), fragment('{"of": "bir', index=1), fragment('ds"}', index=1)],
        BOTH,
    ),
    "in turns": (
        [fragment("", id="a", name="count"), fragment("", index=1, id="b", name="count"), fragment('{"of": '),
         fragment('{"of": ', index=1), fragment('"trees"}'), fragment('"birds"}', index=1)],
        BOTH,
    ),
    "id and name in each": (
        [fragment('{"of": ', id="a", name="count"), fragment('"trees"}', id="a", name="count")], COUNT_TREES,
    ),
    "another id in each": ([fragment('{"of": ', id="a", name="count"), fragment('"trees"}', id="b")], COUNT_TREES),
    "the name in pieces": ([fragment(id="a", name="co"), fragment(name="unt"), fragment(TREES)], COUNT_TREES),
    "no index": (
        [fragment("", index=None, id="a", name="count"), fragment('{"of": ', index=None),
         fragment('"trees"}', index=None), fragment(BIRDS, index=None, id="b", name="count")],
        BOTH,
    ),
    "no ids, whole calls at the index 0": ([fragment(TREES, name="count"), fragment(BIRDS, name="count")], BOTH),
    "text before it": ([{"content": "I count."}, fragment(TREES, id="a", name="count")], COUNT_TREES),
    "the legacy call": (
        [{"function_call": {"name": "count", "arguments": ""}}, {"function_call": {"arguments": TREES}}], COUNT_TREES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAGMENTS)
def test_fragments_of_a_stream_are_put_together(odd: OddServer, name: str) -> None:
    deltas, wanted = FRAGMENTS[name]
    odd.answer = lambda _: events(*map(chunk, deltas), chunk({}, finish="tool_calls"))

    assert calls_of(ask(stream=True)) == wanted


def test_a_whole_message_at_the_end_of_its_stream_is_not_a_second_call(odd: OddServer) -> None:
    last = chunk(None, finish="tool_calls")
    last["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call()]}
    odd.answer = lambda _: events(chunk(fragment(TREES, id="a", name="count")), last)

    assert calls_of(ask(stream=True)) == COUNT_TREES


@pytest.mark.parametrize(
    "text", ["I would call `count`.", '{"name": "rm", "arguments": {}}', '{"count": 40}', 'So: {"name": "count"}']
)
def test_an_answer_that_speaks_of_tools_is_an_answer(odd: OddServer, text: str) -> None:
    odd.answer = lambda _: whole(completion({"content": text}, finish="tool_calls"))

    reply = ask()

    assert (reply.text, reply.calls) == (text, ())


def test_an_end_by_calls_without_any_is_an_empty_answer(odd: OddServer) -> None:
    odd.answer = lambda _: whole(completion({"content": None, "tool_calls": []}, finish="tool_calls"))

    with pytest.raises(InvalidModelOutput, match="an empty text"):
        ask()


def talk(*, arguments: str = TREES) -> list[Message]:
    called = (ToolCall("1", "count", arguments), ToolCall("2", "look", BIRDS))
    return [
        Message("user", "How many?"), Message("assistant", "I count.", calls=called),
        Message("tool", "40", call_id="1"), Message("tool", "none", call_id="2"),
    ]  # fmt: skip


def test_a_conversation_is_sent_with_its_calls_and_their_results(odd: OddServer) -> None:
    odd.answer = lambda _: whole(completion({"content": "40 trees"}))

    ask(talk())

    _, said, *results = odd.requests[0]["messages"]
    assert [one["function"]["arguments"] for one in said["tool_calls"]] == [TREES, BIRDS]
    assert [(result["tool_call_id"], result["content"]) for result in results] == [("1", "40"), ("2", "none")]
    assert odd.requests[0]["tools"][0]["function"] == {
        "name": "count", "description": "Count things.", "parameters": PARAMETERS
    }  # fmt: skip


def test_arguments_that_were_no_json_are_not_sent_again(odd: OddServer) -> None:
    odd.answer = lambda _: whole(completion({"content": "40 trees"}))

    ask(talk(arguments='{"of": '))

    assert odd.requests[0]["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_model_of_single_calls_gets_each_call_before_its_result(odd: OddServer) -> None:
    def answer(body: Json) -> Odd:
        if any(len(message.get("tool_calls") or []) > 1 for message in body["messages"]):
            return whole({"error": {"message": "This model only supports single tool-calls at once!"}}, status=400)
        return whole(completion({"content": "40 trees"}))

    odd.answer = answer

    assert ask(talk()).text == "40 trees"
    assert ask(talk()).text == "40 trees"

    sent = [(one["role"], one.get("content")) for one in odd.requests[-1]["messages"]]
    assert sent == [("user", "How many?"), ("assistant", "I count."), ("tool", "40"), ("assistant", None),
                    ("tool", "none")]  # fmt: skip
    assert len(odd.requests) == 3, "what a refusal has taught is remembered"


@pytest.mark.parametrize(
    "words",
    [
        "registry.ollama.ai/library/gemma does not support tools",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "tools param requires --jinja flag",
    ],
)
def test_a_model_without_tools_is_a_permanent_error_that_says_so(odd: OddServer, words: str) -> None:
    odd.answer = lambda _: whole({"error": {"message": words}}, status=400)

    with pytest.raises(ModelRefused, match="cannot be asked with tools") as caught:
        ask(stream=True)

    assert words in str(caught.value)
    assert len(odd.requests) == 1, "no other form of the request helps"


def test_a_call_without_offered_tools_is_no_answer(odd: OddServer) -> None:
    odd.answer = lambda _: whole(json.loads(json.dumps(completion({"content": None, "tool_calls": [call()]}))))

    with pytest.raises(InvalidModelOutput, match="called the tool 'count'"):
        client.complete([Message("user", "How many trees?")], timeout_s=20)


def test_ten_thousand_calls_are_cut_and_the_last_one_keeps_its_own_arguments() -> None:
    gathered = Gathered()
    for number in range(10_000):
        gathered.take({"tool_calls": [call("", id=None, index=number)]}, is_whole=False)
        gathered.take({"tool_calls": [call(TREES, id=None, name=None, index=number)]}, is_whole=False)
    for _ in range(1_000):
        gathered.take({"tool_calls": [call(TREES, id=None, index=None)]}, is_whole=False)

    assert {(one.name, one.arguments) for one in gathered.calls()} == {("count", TREES)}
    assert len(gathered.calls()) == MOST_CALLS


def test_blanks_in_a_written_call_cost_no_more_than_other_letters() -> None:
    """With a pattern that tries each way to part the blanks this takes hours."""
    blanks = " " * 1_000_000

    assert described(f"<tool_call>count{blanks}trees", ["count"])[0] == []
