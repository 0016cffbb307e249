"""What is sent to a model: one question, in the form that the model takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentapp.llm import structured
from agentapp.llm.answers import Message
from agentapp.llm.capabilities import Form

_SCHEMA_PROMPT = (
    "Answer with one JSON object and nothing else: no sentence before or after it, no code fence. "
    "It must fit this JSON schema:\n"
)


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

    @property
    def features(self) -> frozenset[str]:
        """The parts of the request that a model may refuse, as agentapp.llm.capabilities names them."""
        has = {
            "format": self.schema is not None, "usage": self.is_streamed, "limit": self.max_tokens is not None,
            "temperature": True, "system": any(message.role == "system" for message in self.messages),
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
        if self.max_tokens is not None and form.limit:
            body[form.limit] = self.max_tokens
        if form.temperature:
            body["temperature"] = self.temperature
        if self.is_streamed:
            body |= {"stream": True} | ({"stream_options": {"include_usage": True}} if form.usage else {})
        return body

    def _messages(self, form: Form) -> list[dict[str, str]]:
        system = [message.content for message in self.messages if message.role == "system"]
        others = [{"role": m.role, "content": m.content} for m in self.messages if m.role != "system"]
        if self.schema is not None and form.format != "json_schema":
            system.append(_SCHEMA_PROMPT + json.dumps(self.schema, ensure_ascii=False))
        if not system:
            return others
        # Many models take one system message, and only as the first.
        first = "\n\n".join(system)
        if form.system or not others:
            return [{"role": "system", "content": first}, *others]
        return [{**others[0], "content": f"{first}\n\n{others[0]['content']}"}, *others[1:]]
