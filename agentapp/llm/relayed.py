"""A chat completion that an agent framework asks for: what of its request is sent on, and the answer in its format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from agentapp.errors import ModelRefused
from agentapp.llm.answers import Message, OfferedTool, Reply
from agentapp.llm.capabilities import Form
from agentapp.policies import bounds

Json = dict[str, Any]

# Sent on as they came. The length of the answer and the temperature are sent on as well, as the model takes them.
PARALLEL = "parallel_tool_calls"
SENT_ON = (
    "tools", "tool_choice", PARALLEL, "response_format", "top_p", "stop", "seed", "presence_penalty",
    "frequency_penalty", "reasoning_effort", "verbosity",
)  # fmt: skip
# Which model is asked, and how the answer travels, is not for the framework to say; the rest is for its provider's own
# records. None of it changes what is answered.
NOT_SENT_ON = frozenset(
    {"model", "stream", "stream_options", "store", "metadata", "user", "safety_identifier", "prompt_cache_key"}
)
_LIMITS = ("max_completion_tokens", "max_tokens")
_KNOWN = frozenset({"messages", "temperature", *_LIMITS, *SENT_ON}) | NOT_SENT_ON
_ENDS = frozenset({"stop", "length", "tool_calls", "content_filter"})
_SCHEMA_PROMPT = "Answer with one JSON object and nothing else. It must fit this JSON schema:\n"


@dataclass(frozen=True)
class Request:
    """What a framework asks. `sha256` is that of all that the answer depends on."""

    messages: list[Json]
    more: Json
    max_tokens: int | None
    temperature: float | None
    is_streamed: bool
    tells_usage: bool
    sha256: str

    @classmethod
    def of(cls, body: Any) -> Self:
        """Read a request.

        Raises:
            ModelRefused: it is none, or asks for what is not done here.
        """
        given = {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else {}
        if given.get("n") == 1:
            del given["n"]
        if unknown := sorted(set(given) - _KNOWN):
            raise ModelRefused(f"A model client of agentapp does not take the parameter {unknown[0]}.")
        messages = given.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
            raise ModelRefused("messages must be a list of messages, at least one.")
        tools = given.get("tools", [])
        if not isinstance(tools, list) or not all(_is_function(tool) for tool in tools):
            raise ModelRefused("tools must be a list of functions.")
        asked = {name: value for name, value in given.items() if name not in NOT_SENT_ON}
        said = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        limit = next((given[name] for name in _LIMITS if name in given), None)
        options = given.get("stream_options")
        return cls(
            messages=messages,
            more={name: given[name] for name in SENT_ON if name in given},
            max_tokens=bounds.whole(limit, most=10**9),
            temperature=bounds.number(given.get("temperature"), most=100.0),
            is_streamed=bool(given.get("stream")),
            tells_usage=bool(options.get("include_usage")) if isinstance(options, dict) else False,
            sha256=hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest(),
        )

    @property
    def texts(self) -> list[str]:
        """What the model reads, for an estimate of its tokens."""
        written = [*self.messages, *self.more.get("tools", [])]
        return [json.dumps(one, ensure_ascii=False).encode("utf-8", "replace").decode() for one in written]


@dataclass(frozen=True)
class Relayed:
    """A request of a framework as a question to one model; as agentapp.llm.request.Question."""

    request: Request
    model: str
    max_tokens: int | None
    temperature: float | None
    is_streamed: bool
    # What was chosen for the model goes before what the framework asks for.
    parallel_tool_calls: bool | None = None
    # A framework checks the answer itself.
    schema: None = field(default=None, init=False)

    @property
    def messages(self) -> list[Message]:
        return [Message("user", text) for text in self.request.texts]

    @property
    def tools(self) -> list[OfferedTool]:
        offered = [tool["function"] for tool in self.request.more.get("tools", [])]
        return [OfferedTool(tool["name"], str(tool.get("description", "")), {}) for tool in offered]

    @property
    def features(self) -> frozenset[str]:
        has = {
            "format": "response_format" in self.request.more, "usage": self.is_streamed,
            "limit": self.max_tokens is not None, "temperature": self.temperature is not None,
            "system": any(_is_system(message) for message in self.request.messages), "tools": bool(self.tools),
            "one_call": self._many_calls is not None,
        }  # fmt: skip
        return frozenset(name for name, is_there in has.items() if is_there)

    @property
    def _many_calls(self) -> Any:
        """Whether the model may call several tools at once; None: nothing is said. Some servers refuse to hear of it
        where there are no tools."""
        asked = self.request.more.get(PARALLEL)
        return asked if self.parallel_tool_calls is None or not self.tools else self.parallel_tool_calls

    @property
    def kind(self) -> str:
        said = json.dumps([sorted(self.features), self.request.more.get("response_format")], sort_keys=True)
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()

    def body(self, form: Form) -> Json:
        body = {"model": self.model, **self.request.more}
        body.pop(PARALLEL, None)
        if self._many_calls is not None and form.one_call:
            body[PARALLEL] = self._many_calls
        schema = _schema(body.get("response_format"))
        if "response_format" in body and form.format != "json_schema":
            del body["response_format"]
            if form.format == "json_object":
                body["response_format"] = {"type": "json_object"}
        told = _SCHEMA_PROMPT + json.dumps(schema) if schema and form.format != "json_schema" else ""
        body["messages"] = _with_one_system_message(self.request.messages, told, is_taken=form.system)
        if self.max_tokens is not None and form.limit:
            body[form.limit] = self.max_tokens
        if self.temperature is not None and form.temperature:
            body["temperature"] = self.temperature
        if self.is_streamed:
            body |= {"stream": True} | ({"stream_options": {"include_usage": True}} if form.usage else {})
        return body


def completion(reply: Reply, *, created_s: int) -> Json:
    """Write an answer as a chat completion."""
    message: Json = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.calls
        ]
    ends = reply.finish_reason if reply.finish_reason in _ENDS - {"tool_calls"} else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if reply.calls else ends}
    usage = {
        "prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }  # fmt: skip
    said = hashlib.sha256(json.dumps([choice, created_s]).encode()).hexdigest()
    return {
        "id": f"chatcmpl-{said[:24]}", "object": "chat.completion", "created": created_s, "model": reply.model,
        "choices": [choice], "usage": usage,
    }  # fmt: skip


def events(answer: Mapping[str, Any], *, tells_usage: bool) -> Iterator[bytes]:
    """Write a chat completion as the stream of its chunks."""
    choice = answer["choices"][0]
    message = choice["message"]
    frame = {**{name: answer[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    calls = [{"index": number, **call} for number, call in enumerate(message.get("tool_calls", []))]
    deltas = [{"role": "assistant", "content": message["content"] or ""}, *({"tool_calls": [call]} for call in calls)]
    for delta in deltas:
        yield _event({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if tells_usage:
        yield _event({**frame, "choices": [], "usage": answer["usage"]})
    yield b"data: [DONE]\n\n"


def _event(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _is_function(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _schema(response_format: Any) -> Any:
    named = response_format.get("json_schema") if isinstance(response_format, dict) else None
    return named.get("schema") if isinstance(named, dict) else None


def _is_system(message: Json) -> bool:
    return message.get("role") in ("system", "developer")


def _with_one_system_message(messages: list[Json], told: str, *, is_taken: bool) -> list[Json]:
    """Many models take one system message, and only as the first; some take none, and are told in front of the rest."""
    system = [_text(message.get("content")) for message in messages if _is_system(message)]
    others = [message for message in messages if not _is_system(message)]
    first = "\n\n".join([*system, *([told] if told else [])])
    if not first:
        return others
    if is_taken or not others or others[0].get("role") != "user":
        return [{"role": "system" if is_taken else "user", "content": first}, *others]
    content = others[0].get("content")
    merged = [{"type": "text", "text": first}, *content] if isinstance(content, list) else f"{first}\n\n{content}"
    return [{**others[0], "content": merged}, *others[1:]]


def _text(content: Any) -> str:
    if not isinstance(content, list):
        return str(content or "")
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
