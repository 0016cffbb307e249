"""The shapes of the OpenAI API: completions, their chunks, embeddings, errors."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agentapp.offline_model import vectors

# A fixed time keeps equal requests equal, byte for byte.
CREATED = 1_700_000_000
_TOKEN = re.compile(r"\s*\S+\s*$|\s*\S+")


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for. Arguments that are a text are sent as they are, JSON or not."""

    name: str
    arguments: dict[str, Any] | str

    @property
    def written(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Answer:
    """What the model says: text, or tool calls."""

    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = "stop"

    def pieces(self) -> list[str]:
        """Cut the text into the pieces of a stream, about one word each."""
        return _TOKEN.findall(self.text) or ([self.text] if self.text else [])

    def cut(self, max_tokens: int | None) -> Answer:
        """Return the answer as it is when only so many tokens were allowed."""
        pieces = self.pieces()
        if max_tokens is None or self.tool_calls or len(pieces) <= max_tokens:
            return self
        return Answer(text="".join(pieces[:max_tokens]), finish_reason="length")


def completion_id(body: dict[str, Any]) -> str:
    """Name a completion by what was asked."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return f"chatcmpl-{digest[:24]}"


def completion(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Return a whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = _tool_calls(body, answer)
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
    return {**_head(body, kind="chat.completion"), "choices": [choice], "usage": usage(body, answer)}


def chunks(body: dict[str, Any], answer: Answer) -> list[dict[str, Any]]:
    """Return the chunks of a streamed chat completion: role, one per piece, the reason of the end, then the usage."""
    head = _head(body, kind="chat.completion.chunk")
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    if wants_usage:
        head["usage"] = None
    calls = [{**call, "index": index} for index, call in enumerate(_tool_calls(body, answer))]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in answer.pieces()] + [{"tool_calls": [call]} for call in calls]
    result = [{**head, "choices": [_choice(delta, finish_reason=None)]} for delta in deltas]
    result.append({**head, "choices": [_choice({}, finish_reason=answer.finish_reason)]})
    if wants_usage:
        result.append({**head, "choices": [], "usage": usage(body, answer)})
    return result


def usage(body: dict[str, Any], answer: Answer) -> dict[str, int]:
    """Count the tokens of a request and its answer."""
    asked = {name: body[name] for name in ("messages", "tools", "response_format") if body.get(name)}
    said = answer.text + "".join(call.written + call.name for call in answer.tool_calls)
    prompt_tokens, completion_tokens = vectors.count_tokens(json.dumps(asked)), vectors.count_tokens(said)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def embeddings(texts: list[str], *, model: str, encoding: str) -> dict[str, Any]:
    """Return the embeddings of texts, as numbers or as base64 of little-endian float32."""
    data = []
    for index, text in enumerate(texts):
        vector = vectors.embed(text)
        coded = base64.b64encode(vector.astype(np.dtype("<f4")).tobytes()).decode()
        value = coded if encoding == "base64" else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": value})
    tokens = sum(vectors.count_tokens(text) for text in texts)
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def error(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return an error body."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _head(body: dict[str, Any], *, kind: str) -> dict[str, Any]:
    return {"id": completion_id(body), "object": kind, "created": CREATED, "model": body.get("model") or "offline"}


def _choice(delta: dict[str, Any], *, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}


def _tool_calls(body: dict[str, Any], answer: Answer) -> list[dict[str, Any]]:
    seed = completion_id(body)[-16:]
    return [
        {
            "id": f"call_{seed}_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.written},
        }
        for index, call in enumerate(answer.tool_calls)
    ]
