"""What is asked of a server to fill its row of docs/compatibility.md: each cell is the word that a probe returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings

from agentapp.errors import InvalidModelOutput, ModelRefused
from agentapp.llm import client, connection, learned
from agentapp.llm.answers import Message, OfferedTool, Reply
from agentapp.llm.connection import Provider
from agentapp.services.principals import Principal
from tests.tasks import writing_tools as writing_tools
from tests.tasks.agent_runs import results, run

TIMEOUT_S = 60
COUNT = OfferedTool(
    "count", "Count things.", {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]}
)
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["count"],
    "properties": {"count": {"type": "integer"}},
}  # fmt: skip


def asked(about: str) -> list[Message]:
    return [Message("system", "You count what is asked for."), Message("user", f"How many trees are there? {about}")]


def ask(about: str, **more: Any) -> Reply:
    return client.complete(asked(about), timeout_s=TIMEOUT_S, **more)


def completion() -> str:
    reply = ask("At once.")
    return "yes" if reply.text and reply.finish_reason == "stop" and not reply.calls else "no"


def stream() -> str:
    pieces: list[str] = []
    reply = ask("Piece by piece.", on_delta=pieces.append)
    assert "".join(pieces) == reply.text
    return ("yes" if len(pieces) > 1 else "in one piece") if reply.text else "no"


def tools() -> str:
    return _loop(is_streamed=False)


def tools_streamed() -> str:
    return _loop(is_streamed=True)


def _loop(*, is_streamed: bool) -> str:
    """Let it call a tool, and tell it the result."""
    messages = asked(f"Streamed: {is_streamed}.")
    called = client.complete(messages, tools=[COUNT], stream=is_streamed, timeout_s=TIMEOUT_S)
    if [(call.name, list(call.parsed or ())) for call in called.calls] != [("count", ["of"])]:
        return "no" if called.calls else "ignored"
    results = [Message("tool", "40", call_id=call.id) for call in called.calls]
    messages = [*messages, Message("assistant", called.text, calls=called.calls), *results]
    said = client.complete(messages, tools=[COUNT], stream=is_streamed, timeout_s=TIMEOUT_S)
    return "yes" if said.text and not said.calls else "no"


def structured_output() -> str:
    try:
        replies = [ask("As JSON.", schema=SCHEMA, stream=is_streamed) for is_streamed in (False, True)]
    except InvalidModelOutput:
        return "ignored"
    assert all(reply.data and list(reply.data) == ["count"] for reply in replies)
    form = learned.recall(settings.AGENTAPP_MODEL_BASE_URL, settings.AGENTAPP_MODEL).form
    return {"json_schema": "yes", "json_object": "as `json_object`", "text": "schema in the prompt"}[form.format]


def embeddings() -> str:
    try:
        found = client.embed(["oak", "elm"], timeout_s=TIMEOUT_S)
    except ModelRefused:
        return "no"
    return f"{found.dimension} numbers" if len(found.vectors) == 2 else "no"


def usage() -> str:
    """Whether the provider counts the tokens, or leaves that to our estimate."""
    counted = [name for name, is_streamed in (("whole", False), ("streams", True)) if _counts(is_streamed=is_streamed)]
    return {0: "no", 1: f"{''.join(counted)} only", 2: "yes"}[len(counted)]


def _counts(*, is_streamed: bool) -> bool:
    body: dict[str, Any] = {
        "model": settings.AGENTAPP_MODEL, "messages": [{"role": "user", "content": "How many trees?"}],
    }  # fmt: skip
    body |= {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
    provider = Provider(settings.AGENTAPP_MODEL_BASE_URL, settings.AGENTAPP_MODEL_API_KEY)
    with connection.completion(provider, body, ends_s=time.monotonic() + TIMEOUT_S) as incoming:
        return b'"completion_tokens"' in incoming.read()


def agent(principal: Principal) -> str:
    """Run a task of the workflow kind `agent`, with one tool."""
    task = run(principal, "Please recite a letter, then say how many trees there are.", tools=["recite"])
    assert task.state == "completed", task.state
    return {(): "without its tool", (("recite", "ok"),): "yes"}[tuple(each[:2] for each in results(task))]


COLUMNS: dict[str, Callable[[], str]] = {
    "completion": completion,
    "stream": stream,
    "tools": tools,
    "tools streamed": tools_streamed,
    "structured output": structured_output,
    "embeddings": embeddings,
    "usage numbers": usage,
}


def row(name: str, version: str, principal: Principal) -> list[str]:
    """Return the row of a server, as docs/compatibility.md has it."""
    return [name, version, *(probe() for probe in COLUMNS.values()), agent(principal)]
