"""What is sent to a model: one question, in the form that the model takes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentapp.llm import structured
from agentapp.llm.answers import Message, OfferedTool
from agentapp.llm.capabilities import Form
from agentapp.llm.tool_calls import ToolCall

_SCHEMA_PROMPT = (
    "Answer with one JSON object and nothing else: no sentence before or after it, no code fence. "
    "It must fit this JSON schema:\n"
)


# What a call may be named in a request: a model may have named one that no server takes back.
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Question:
    """What a model is asked, whatever form it takes."""

    messages: Sequence[Message]
    model: str
    schema: dict[str, Any] | None
    schema_name: str
    max_tokens: int | None
    temperature: float
    is_streamed: bool
    tools: Sequence[OfferedTool] = ()
    # Whether the model may call several tools at once; None: nothing is said.
    parallel_tool_calls: bool | None = None

    @property
    def features(self) -> frozenset[str]:
        """The parts of the request that a model may refuse, as agentapp.llm.capabilities names them."""
        has = {
            "format": self.schema is not None, "usage": self.is_streamed, "limit": self.max_tokens is not None,
            "temperature": True, "system": any(message.role == "system" for message in self.messages),
            "one_call": bool(self.tools) and self.parallel_tool_calls is not None,
            "parallel": any(len(message.calls) > 1 for message in self.messages), "tools": bool(self.tools),
            "extra": any(call.extra for message in self.messages for call in message.calls),
            "thought": any(message.calls for message in self.messages),
        }  # fmt: skip
        return frozenset(name for name, is_there in has.items() if is_there)

    @property
    def kind(self) -> str:
        """A name for all questions of which a model takes either all or none: by their features and their schema."""
        said = json.dumps([sorted(self.features), self.schema], sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()

    def body(self, form: Form) -> dict[str, Any]:
        """Build the body of a chat completion."""
        body: dict[str, Any] = {"model": self.model, "messages": self._messages(form)}
        if self.schema is not None and form.format == "json_schema":
            reduced = structured.strict(self.schema)
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {
                    "name": self.schema_name, "schema": reduced or self.schema, "strict": reduced is not None,
                },
            }  # fmt: skip
        elif self.schema is not None and form.format == "json_object":
            body["response_format"] = {"type": "json_object"}
        if self.tools:
            body["tools"] = [
                {"type": "function",
                 "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}}
                for tool in self.tools
            ]  # fmt: skip
            if self.parallel_tool_calls is not None and form.one_call:
                body["parallel_tool_calls"] = self.parallel_tool_calls
        if self.max_tokens is not None and form.limit:
            body[form.limit] = self.max_tokens
        if form.temperature:
            body["temperature"] = self.temperature
        if self.is_streamed:
            body |= {"stream": True} | ({"stream_options": {"include_usage": True}} if form.usage else {})
        return body

    def _messages(self, form: Form) -> list[dict[str, Any]]:
        system = [message.content for message in self.messages if message.role == "system"]
        others = _spoken([message for message in self.messages if message.role != "system"], form)
        if self.schema is not None and form.format != "json_schema":
            system.append(_SCHEMA_PROMPT + json.dumps(self.schema, ensure_ascii=False))
        if not system:
            return others
        # Many models take one system message, and only as the first.
        first = "\n\n".join(system)
        if form.system or not others:
            return [{"role": "system", "content": first}, *others]
        return [{**others[0], "content": f"{first}\n\n{others[0]['content']}"}, *others[1:]]


def _spoken(messages: Sequence[Message], form: Form) -> list[dict[str, Any]]:
    """Write a conversation; where a model bears one call in a message, each call stands before its own result."""
    results = {message.call_id: message for message in messages if message.role == "tool"}
    written: list[dict[str, Any]] = []
    apart: set[str] = set()
    for message in messages:
        if message.role == "tool":
            written += [] if message.call_id in apart else [_result(message)]
        elif len(message.calls) < 2 or form.parallel:
            written.append(_said(message, message.content, message.calls, form))
        else:
            for number, call in enumerate(message.calls):
                written.append(_said(message, "" if number else message.content, (call,), form))
                written += [_result(results[call.id])] if call.id in results else []
                apart.add(call.id)
    return written


def _said(message: Message, content: str, calls: Sequence[ToolCall], form: Form) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": content}
    if form.thought and message.role == "assistant":
        said["reasoning_content"] = message.reasoning
    if not calls:
        return said
    written = [
        {"id": call.id, "type": "function", "function": _called(call)}
        | ({"extra_content": call.extra} if call.extra and form.extra else {})
        for call in calls
    ]
    return said | {"content": content or None, "tool_calls": written}


def _called(call: ToolCall) -> dict[str, Any]:
    # Servers read the names and arguments of earlier calls again, and some refuse a whole request for one that is none.
    name = _NOT_IN_NAME.sub("_", call.name)[:_LONGEST_NAME]
    return {"name": name or "_", "arguments": call.arguments if call.parsed and call.arguments else "{}"}


def _result(message: Message) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
