"""A table of odd answers, and what must come out of each: over HTTP, read whole and as a stream. [C7] [F1]

The shapes are those of the specification and of servers that differ from it: vLLM, Ollama, llama.cpp, LiteLLM, Azure,
OpenRouter, DeepSeek, Mistral, Gemini and Anthropic with their compatible endpoints, and the gateways in front of them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentapp.errors import InvalidModelOutput, ModelRefused, QuotaExhausted, RateLimited, TransientError
from agentapp.llm import client
from agentapp.llm.client import Message, OfferedTool, Reply
from tests.llm.odd_server import EVENTS, Json, Odd, OddServer, chunk, completion, events, whole

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["count"],
    "properties": {"count": {"type": "integer", "minimum": 1}},
}
HTML = b"<html><head><title>Oops</title><style>p {}</style></head><body><p>The gateway is asleep.</p></body></html>"
Wanted = Json | tuple[type[Exception], str]


def ask(**more: Any) -> Reply:
    return client.complete([Message("user", "How many trees?")], timeout_s=more.pop("timeout_s", 20), **more)


def check(wanted: Wanted, **more: Any) -> None:
    """Ask, and compare what comes out: fields of the reply, or the class of an error and its words."""
    if isinstance(wanted, tuple):
        kind, words = wanted
        with pytest.raises(kind, match=words) as caught:
            ask(**more)
        assert type(caught.value) is kind and len(str(caught.value)) < 1_500
        return
    reply = ask(**more)
    assert {name: getattr(reply, name) for name in wanted} == wanted


# What a message or a delta may hold: the text is "40 trees", whatever stands around it.
TREES = {"text": "40 trees"}
THOUGHT = "<|channel|>analysis<|message|>"
MESSAGES: dict[str, tuple[Json, Wanted]] = {
    "a text": ({"content": "40 trees"}, TREES | {"reasoning": ""}),
    "parts": ({"content": [{"type": "text", "text": "40 "}, {"type": "text", "text": "trees"}]}, TREES),
    "one part": ({"content": {"type": "text", "text": "40 trees"}}, TREES),
    "parts that are texts": ({"content": ["40 ", "trees"]}, TREES),
    "thinking parts (Mistral)": (
        {"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "40 trees"}]},
        TREES | {"reasoning": "hm"},
    ),
    "reasoning_content (DeepSeek)": ({"content": "40 trees", "reasoning_content": "hm"}, TREES | {"reasoning": "hm"}),
    "reasoning (OpenRouter)": ({"content": "40 trees", "reasoning": "hm"}, TREES | {"reasoning": "hm"}),
    "think": ({"content": "<think>hm</think>\n\n40 trees"}, TREES | {"reasoning": "hm"}),
    "think, nested": ({"content": "<think>a<think>b</think>c</think>40 trees"}, TREES | {"reasoning": "abc"}),
    "think, never opened": ({"content": "hm</think>40 trees"}, TREES | {"reasoning": "hm"}),
    "think, of its own marks": ({"content": "<think>I write <think></think>40 trees"}, TREES),
    "think, twice": ({"content": "<THINK>a</THINK>40 <think>b</think>trees"}, TREES | {"reasoning": "ab"}),
    "channels (gpt-oss)": (
        {"content": f"{THOUGHT}hm<|end|><|start|>assistant<|channel|>final<|message|>40 trees<|return|>"},
        TREES | {"reasoning": "hm"},
    ),
    "quoted marks": ({"content": "Write `<think>` first."}, {"text": "Write `<think>` first."}),
    "think, never closed": ({"content": "<think>hm"}, (InvalidModelOutput, "never ended its reasoning")),
    "think within, never closed": ({"content": "40 <think>hm"}, (InvalidModelOutput, "never ended its reasoning")),
    "only thought": ({"content": None, "reasoning_content": "hm"}, (InvalidModelOutput, "reasoned and did not answer")),
    "nothing": ({"content": ""}, (InvalidModelOutput, "an empty text")),
    "null": ({"content": None}, (InvalidModelOutput, "an empty text")),
    "a number": ({"content": 40}, (InvalidModelOutput, "an empty text")),
    "a refusal": ({"content": None, "refusal": "I may not count."}, (ModelRefused, "I may not count")),
    "a refusal part": ({"content": [{"type": "refusal", "refusal": "I may not."}]}, (ModelRefused, "I may not")),
    "a tool call": (
        {"content": None, "tool_calls": [{"id": "1", "function": {"name": "count", "arguments": '{"a": '}}]},
        (InvalidModelOutput, "called the tool 'count'"),
    ),
    "tool calls that are none": ({"content": "40 trees", "tool_calls": "none"}, TREES),
    "what no text may hold": ({"content": "40\0 trees\ud800"}, {"text": "40\ufffd trees\ufffd"}),
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_read_whatever_its_shape(odd: OddServer, name: str, streamed: bool) -> None:
    message, wanted = MESSAGES[name]
    odd.answer = lambda _: events(chunk(message), chunk({}, finish="stop")) if streamed else whole(completion(message))
    deltas: list[str] = []

    check(wanted, on_delta=deltas.append if streamed else None)

    if streamed and isinstance(wanted, dict):
        assert "".join(deltas) == wanted["text"]


# What stands around the message.
LONG = "m" * 174
FRAMES: dict[str, tuple[Json, Wanted]] = {
    "no usage": ({}, TREES | {"prompt_tokens": 3, "completion_tokens": 2}),
    "usage": ({"usage": {"prompt_tokens": 7, "completion_tokens": 2}}, {"prompt_tokens": 7}),
    "usage as text": ({"usage": {"prompt_tokens": "7", "completion_tokens": "two"}}, {"prompt_tokens": 7}),
    "usage is a text": ({"usage": "7 tokens"}, {"prompt_tokens": 3}),
    "negative usage": ({"usage": {"prompt_tokens": -7}}, {"prompt_tokens": 3}),
    "huge usage": ({"usage": {"prompt_tokens": 10**40, "completion_tokens": 1e300}}, {"prompt_tokens": 3}),
    "null usage": ({"usage": {"prompt_tokens": None, "completion_tokens": True}}, {"prompt_tokens": 3}),
    "usage with a fraction": ({"usage": {"prompt_tokens": 7.0}}, {"prompt_tokens": 7}),
    "a long model": ({"model": LONG}, {"model": LONG[:99] + "…"}),
    "no model": ({"model": None}, {"model": "odd"}),
    "a number as model": ({"model": 4}, {"model": "odd"}),
    "null as error": ({"error": None}, TREES),
    "cut by its limit": ({"finish": "length"}, {"finish_reason": "length"}),
    "cut by its limit (Anthropic)": ({"finish": "max_tokens"}, {"finish_reason": "length"}),
    "STOP (Gemini)": ({"finish": "STOP"}, {"finish_reason": "stop"}),
    "filtered": ({"finish": "content_filter"}, (ModelRefused, "content filter")),
    "no end": ({"finish": None}, (TransientError, "ended before it was complete")),
    "a number as end": ({"finish": 7}, (TransientError, "ended before it was complete")),
    "broken off (OpenRouter)": ({"finish": "error"}, (TransientError, "broke the answer off")),
}  # fmt: skip


TOOLS = (OfferedTool("look", "Look around.", {"type": "object", "properties": {}}),)
# Where a tool is offered, a call is an answer; where a schema is asked for, a text that is no JSON is none.
CALLS = frozenset({"a tool call"})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in CALLS])
def test_a_message_is_read_so_beside_tools_and_a_schema(odd: OddServer, name: str, streamed: bool) -> None:
    message, wanted = MESSAGES[name]
    odd.answer = lambda _: events(chunk(message), chunk({}, finish="stop")) if streamed else whole(completion(message))

    check(wanted | {"calls": ()} if isinstance(wanted, dict) else wanted, stream=streamed, tools=TOOLS)
    check((InvalidModelOutput, "JSON") if isinstance(wanted, dict) else wanted, stream=streamed, schema=SCHEMA)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FRAMES)
def test_numbers_are_bounded_and_names_are_cut(odd: OddServer, name: str, streamed: bool) -> None:
    frame, wanted = FRAMES[name]
    frame = {"finish": "stop"} | frame
    content = {"content": "40 trees"}
    odd.answer = lambda _: (
        events(chunk(content), chunk({}, **frame)) if streamed else whole(completion(content, **frame))
    )

    check(wanted, stream=streamed)
    check(wanted, stream=streamed, tools=TOOLS)


def in_body(error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


# Bodies of status 200 that are no completion, read alike whether a stream was asked for or not.
BODIES: dict[str, tuple[bytes, tuple[type[Exception], str]]] = {
    "a web page": (HTML, (TransientError, "web page: Oops The gateway is asleep")),
    "nothing": (b"", (TransientError, "nothing at all|before it said anything")),
    "spaces": (b" \n\n ", (TransientError, "nothing at all|before it said anything")),
    "text": (b"upstream connect error", (TransientError, "malformed JSON: upstream connect error")),
    "half of it": (b'{"choices": [{"mess', (TransientError, "malformed JSON")),
    "not UTF-8": (b'{"choices": "\xff\xfe"}', (TransientError, "not UTF-8")),
    "too deep": (b"[" * 100_000, (TransientError, "malformed JSON")),
    "a list": (b"[1, 2]", (TransientError, r"a list instead of an object: '\[1, 2\]'")),
    "a number": (b"7", (TransientError, "a number instead of an object")),
    "null": (b"null", (TransientError, "null instead of an object")),
    "a quoted text": (b'"busy"', (TransientError, "a text instead of an object: 'busy'")),
    "an empty object": (b"{}", (TransientError, "without a choice")),
    "no choices": (b'{"choices": []}', (TransientError, "without a choice")),
    "null as choices": (b'{"choices": null, "message": "queue full"}', (TransientError, "choice: queue full")),
    "null as choice": (b'{"choices": [null]}', (TransientError, "without a choice")),
    "no message": (b'{"choices": [{"finish_reason": "stop"}]}', (TransientError, "without a message")),
    "detail": (b'{"detail": "no worker is ready"}', (TransientError, "no worker is ready")),
    "an error": (in_body({"message": "overloaded", "type": "overloaded_error"}), (TransientError, "overloaded")),
    "an error as text": (in_body("model runner has stopped"), (TransientError, "model runner has stopped")),
    "an error with 429": (in_body({"code": 429, "message": "slow down"}), (RateLimited, "slow down")),
    "an error with 400": (in_body({"code": 400, "message": "no such role"}), (ModelRefused, "no such role")),
    "an error with 503": (in_body({"code": "503", "message": "no capacity"}), (TransientError, "no capacity")),
    "an error with a code": (in_body({"code": "insufficient_quota", "message": "pay"}), (QuotaExhausted, "pay")),
    "an error in a list (Gemini)": (
        b'[{"error": {"code": 429, "message": "Please retry in 34.07s.", "status": "RESOURCE_EXHAUSTED"}}]',
        (RateLimited, "retry in 34.07s"),
    ),
    "an error within an error (gateways)": (
        in_body({"message": json.dumps({"error": {"message": "bad key", "code": "invalid_api_key"}})}),
        (ModelRefused, "bad key"),
    ),
    "an error in the choice (OpenRouter)": (
        b'{"choices": [{"error": {"code": 502, "message": "Sorry", "metadata": {"raw": "worker died"}}}]}',
        (TransientError, "Sorry; worker died"),
    ),
    "an error without its object (vLLM)": (
        b'{"object": "error", "message": "unknown role", "type": "BadRequestError", "code": 400}',
        (ModelRefused, "unknown role"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["text", "schema"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_answer_is_a_described_failure(
    odd: OddServer, name: str, streamed: bool, schema: Json | None
) -> None:
    body, wanted = BODIES[name]
    odd.answer = lambda _: Odd(body)

    check(wanted, stream=streamed, schema=schema)


def sent(*pieces: bytes) -> Odd:
    """A stream of just these bytes."""
    return Odd(lambda: pieces, headers=EVENTS)


HELLO, END = chunk({"content": "40 "}), chunk({"content": "trees"}, finish="stop")
PLAIN = f"data: {json.dumps(HELLO)}\n\ndata: {json.dumps(END)}\n\n".encode()
UMLAUT = b"data: " + json.dumps(chunk({"content": "40 \u00e4"}, finish="stop"), ensure_ascii=False).encode()
OVERLOADED = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}'
THINKING = [chunk({"content": letter}) for letter in "<think>hm</think>40 trees"]
SECOND = {"choices": [{"index": 1, "delta": {"content": "no idea"}, "finish_reason": "length"}]}
TOO_MANY = {"error": {"code": 429, "message": "too many"}}
STREAMS: dict[str, tuple[Odd, Wanted]] = {
    "no delta (Azure)": (events({"choices": [], "model": ""}, HELLO, chunk(), END, chunk()), TREES | {"model": "odd"}),
    "usage at last": (events(HELLO, END, {"choices": [], "usage": {"prompt_tokens": 9}}), {"prompt_tokens": 9}),
    "null usage in between": (events({**HELLO, "usage": None}, END), TREES),
    "comments (OpenRouter)": (sent(b": PROCESSING\n\n", b"\n\n\n", PLAIN), TREES),
    "CRLF, ids": (sent(b"id: 1\r\nretry: 5\r\n" + PLAIN.replace(b"\n", b"\r\n")), TREES),
    "CR alone": (sent(PLAIN.replace(b"\n", b"\r")), TREES),
    "CR LF in halves": (sent(*PLAIN.replace(b"\n", b"\r#\n").split(b"#")), TREES),
    "CR alone in halves": (sent(*PLAIN.replace(b"\n", b"\r#").split(b"#")), TREES),
    "no space": (sent(PLAIN.replace(b"data: ", b"data:")), TREES),
    "no blank lines": (sent(PLAIN.replace(b"\n\n", b"\n"), b"data: [DONE]\n"), TREES),
    "a byte at a time": (sent(*(bytes([byte]) for byte in PLAIN)), TREES),
    "half a letter": (sent(UMLAUT[: UMLAUT.index(b"\xa4")], UMLAUT[UMLAUT.index(b"\xa4") :]), {"text": "40 \u00e4"}),
    "not a stream": (whole(completion({"content": "40 trees"})), TREES),
    "a message at last": (events(completion({"content": "40 trees"})), TREES),
    "think in pieces": (events(*THINKING, chunk({}, finish="stop")), TREES),
    "a byte-order mark": (sent(b"\xef\xbb\xbf", PLAIN), TREES),
    "two answers in turns": (events(HELLO, SECOND, END, SECOND), TREES | {"finish_reason": "stop"}),
    "cut": (events(HELLO, done=False), (TransientError, "before it was complete")),
    "cut within a chunk": (sent(PLAIN[:-40]), (TransientError, "malformed JSON in its stream")),
    "done at once": (events(), (TransientError, "before it said anything")),
    "malformed": (sent(b"data: {oops\n\n", PLAIN), (TransientError, "malformed JSON in its stream: '{oops'")),
    "a list": (events([1]), (TransientError, "a list instead of an object")),
    "an error in between": (events(HELLO, {"error": {"code": 502, "message": "it died"}}), (TransientError, "it died")),
    "an error event (Anthropic)": (sent(OVERLOADED), (TransientError, "Overloaded")),
    "an error event in words": (sent(b"event: error\ndata: out of memory\n\n"), (TransientError, "out of memory")),
    "an error at last": (events(HELLO, chunk({"content": ""}, finish="error", **TOO_MANY)), (RateLimited, "too many")),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_read_whatever_its_framing(odd: OddServer, name: str) -> None:
    answer, wanted = STREAMS[name]
    odd.answer = lambda _: answer

    check(wanted, stream=True)
