"""Find the answer to a chat request by its structure: tools, a schema, passages, or plain text."""

from __future__ import annotations

import json
from typing import Any

from agentapp.offline_model import drafting, instances, judging, scripts, sections, sentences, summarizing, tools
from agentapp.offline_model.sections import Prompt
from agentapp.offline_model.wire import Answer

MOST_QUOTED = 3


class BadRequest(ValueError):
    """The request cannot be answered; `param` names the field at fault."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def answer(body: dict[str, Any]) -> Answer:
    """Answer one chat request. The same request gets the same answer.

    Raises:
        BadRequest: the body is not a chat request, or its schema cannot be filled.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise BadRequest("messages must be a list of at least one message", param="messages")
    max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
        raise BadRequest("max_tokens must be a whole number of at least 1", param="max_tokens")
    try:
        return _answer(body, sections.read(messages)).cut(max_tokens)
    except instances.Unsatisfiable as error:
        raise BadRequest(str(error), param="response_format") from error


def _answer(body: dict[str, Any], prompt: Prompt) -> Answer:
    if (said := prompt.latest("conversation")) and not body.get("tools") and not prompt.latest("question"):
        return Answer(text=summarizing.conversation(said, prompt.latest("instruction"), prompt.latest("summary")))
    told = scripts.follow(body["messages"]) or scripts.obey(body)
    if told is not None:
        return told
    wanted = tools.calls(body, prompt.text)
    if wanted:
        return Answer(tool_calls=wanted, finish_reason="tool_calls")
    returned = tools.results(body["messages"])
    schema = _schema(body)
    if schema is not None:
        text = "\n".join([prompt.text, *(result for _, result in returned)])
        return Answer(text=json.dumps(_structured(schema, prompt, text), ensure_ascii=False))
    if returned:
        return tools.quote(returned, prompt.text)
    if prompt.latest("question"):
        return Answer(text=drafting.write(prompt))
    return _quote(prompt.text)


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema that a request asks for; any object for plain JSON mode, None for text."""
    response_format = body.get("response_format")
    if not isinstance(response_format, dict) or response_format.get("type") in (None, "text"):
        return None
    if response_format["type"] == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    described = response_format.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, dict):
        raise BadRequest("response_format.json_schema.schema must be a JSON schema", param="response_format")
    return schema


def _structured(schema: dict[str, Any], prompt: Prompt, text: str) -> Any:
    """Fill a schema; a draft for a question is judged first, and a chunk or statements are summarized."""
    judged = bool(prompt.latest("draft") and prompt.latest("question"))
    facts = judging.answer(judging.judge(prompt)) if judged else summarizing.facts(prompt)
    return instances.build(schema, text, facts=facts)


def _quote(text: str) -> Answer:
    """Answer with the sentences that say most about the whole text, in their order."""
    told = list(dict.fromkeys(sentences.split(text)))
    near = sorted(told, key=lambda sentence: -sentences.closeness(text, sentence))[:MOST_QUOTED]
    quoted = "\n".join(f"“{sentence}”" for sentence in told if sentence in near) or "There is nothing to quote."
    return Answer(text=f"{quoted}\n\n{drafting.SIGNATURE}")
