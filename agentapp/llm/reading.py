"""What a provider's answer says. Nothing in it is trusted: not its shape, not its types, not its sizes.

Whatever is no answer is an error with the provider's words. Numbers are bounded, texts are such as Postgres can store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from agentapp.errors import InvalidModelOutput, ModelRefused, TransientError
from agentapp.llm import sse, tool_calls
from agentapp.llm.answers import Answer
from agentapp.llm.failures import Refused
from agentapp.llm.reasoning import Splitter
from agentapp.policies import bounds, provider_errors, storable

MOST_TOKENS = 10_000_000
LONGEST_NAME = 100
# Other words for the same end.
_ENDS = {
    "end_turn": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "complete": "stop",
    "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "safety": "content_filter", "recitation": "content_filter", "prohibited_content": "content_filter",
    "blocklist": "content_filter", "refusal": "content_filter",
}  # fmt: skip
_FAILED_ENDS = frozenset(
    {"error", "abort", "aborted", "cancelled", "canceled", "network_error", "insufficient_system_resource"}
)
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_REASONING_PARTS = frozenset({"thinking", "reasoning", "reasoning_content", "redacted_thinking"})

Json = dict[str, Any]


def document(raw: bytes) -> Any:
    """Read a body as JSON.

    Raises:
        TransientError: it is none; with what stands there instead.
    """
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TransientError(f"the model provider's answer is not UTF-8: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        said = provider_errors.read(raw[:20_000].decode("utf-8", "replace")).words
        what = "a web page" if raw.lstrip()[:1] == b"<" else "malformed JSON"
        raise TransientError(f"the model provider sent {what}: {said or 'nothing at all'}") from error


def as_object(body: Any) -> Json:
    """Return a body that is an object and not an error.

    Raises:
        Refused: it is an error that came with status 200.
        TransientError: it is something else.
    """
    inner: Any = body[0] if isinstance(body, list) and len(body) == 1 else body
    if isinstance(inner, dict):
        # Some servers send an error without the object around it, and no choices.
        if inner.get("error") or inner.get("object") == "error" or inner.get("type") == "error":
            raise Refused(None, body=inner)
        if not isinstance(body, list):
            return dict(inner)
    kind = {list: "a list", str: "a text", type(None): "null"}.get(type(body), "a number")
    raise TransientError(f"the model provider answered with {kind} instead of an object: {_quote(body)}")


def whole(raw: bytes, answer: Answer, splitter: Splitter) -> None:
    """Read a completion that came at once.

    Raises:
        Refused: it is an error.
        TransientError: it is no completion.
    """
    body = as_object(document(raw))
    choice = _choice(body)
    if choice is None:
        said = provider_errors.read(body).words or _quote(body)
        raise TransientError(f"the model provider answered without a choice: {said}")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise TransientError(f"the model provider answered with a choice without a message: {_quote(choice)}")
    _take_frame(answer, body, choice)
    answer.is_over = True
    splitter.feed(_take_message(answer, message, splitter, is_whole=True))


def stream(chunks: Iterable[bytes], answer: Answer, splitter: Splitter, *, on_piece: Callable[[str], None]) -> None:
    """Gather a completion as it is written; `on_piece` gets what may be handed out of each chunk, also nothing.

    Raises:
        Refused: it is an error, or one came in between.
        TransientError: it cannot be read.
    """
    is_begun = False
    for event in sse.events(chunks):
        if event.name == "stray":
            if not is_begun:
                # The server does not stream, or it is no model that answered.
                whole(event.data, answer, splitter)
                is_begun = True
            continue
        data = event.data.strip()
        if data == b"[DONE]":
            answer.is_over = True
            break
        if not data and event.name != "error":
            continue
        for body in _chunks(event):
            is_begun = True
            on_piece(splitter.feed(_take_chunk(answer, body, splitter)))
    if not is_begun:
        raise TransientError("the model provider's stream ended before it said anything")


def finish(answer: Answer, splitter: Splitter) -> str:
    """Check how the answer ended, and put its text in; return what was not handed out yet.

    Raises:
        ModelRefused: a refusal, or a content filter.
        TransientError: the answer was cut.
        InvalidModelOutput: there is nothing in it but thought or a call of a tool, and nobody offered tools.
    """
    rest = splitter.finish()
    answer.text, answer.reasoning = splitter.text, splitter.reasoning
    called = answer.gathered.calls()
    if answer.finish_reason is None and answer.is_over and called and all(call.parsed is not None for call in called):
        # Some never say why. Calls that are complete need no reason, where nothing was cut.
        answer.finish_reason = "tool_calls"
    if answer.refusal or answer.finish_reason == "content_filter":
        raise ModelRefused(f"the model refused to answer: {provider_errors.short(answer.refusal) or 'content filter'}")
    if answer.finish_reason is None:
        # A cut stream raises nothing by itself: the missing reason is the only trace.
        raise TransientError("the model's answer ended before it was complete")
    if answer.finish_reason in _FAILED_ENDS:
        raise TransientError(f"the model provider broke the answer off: {answer.finish_reason}")
    if answer.offered:
        if not called:
            called, answer.text = tool_calls.described(answer.text, answer.offered)
        answer.calls = tuple(called)
        if called:
            # Whatever it says of its end: what it wants is a call.
            return rest
    if answer.finish_reason != "length":
        if splitter.is_unclosed:
            raise InvalidModelOutput("the model never ended its reasoning: nothing tells where its answer begins")
        if not answer.text.strip() and called:
            raise InvalidModelOutput(f"the model called the tool {called[0].name!r}, which it was not offered")
        if not answer.text.strip():
            thought = "reasoned and did not answer" if answer.reasoning.strip() else "answered with an empty text"
            raise InvalidModelOutput(f"the model {thought}")
    return rest


def tokens(value: Any) -> int | None:
    """Read a number of tokens; None for what is none, so that it is estimated."""
    return bounds.whole(value, most=MOST_TOKENS)


def name(value: Any, otherwise: str) -> str:
    """Read the name of a model as a column can hold it."""
    found = provider_errors.short(value, most=LONGEST_NAME) if isinstance(value, str) else ""
    return found or otherwise[:LONGEST_NAME]


def text(value: Any) -> str:
    """Return a foreign text as Postgres can store it; the empty one for what is none."""
    return storable.text(value) if isinstance(value, str) else ""


def _chunks(event: sse.Event) -> list[Json]:
    try:
        found = [json.loads(event.data)]
    except (ValueError, RecursionError) as error:
        if len(event.lines) < 2:
            if event.name == "error":
                raise Refused(None, body=event.data.decode("utf-8", "replace")) from error
            said = _quote(event.data.decode("utf-8", "replace"))
            raise TransientError(f"the model provider sent malformed JSON in its stream: {said}") from error
        # Servers that leave the blank lines out put several events into one.
        return [chunk for line in event.lines if line != b"[DONE]" for chunk in _chunks(sse.Event(event.name, (line,)))]
    if event.name == "error":
        raise Refused(None, body=found[0])
    return [as_object(found[0])]


def _take_chunk(answer: Answer, body: Json, splitter: Splitter) -> str:
    choice = _choice(body)
    if choice is not None:
        index = choice.get("index") if isinstance(choice.get("index"), int) else 0
        answer.choice = index if answer.choice is None else answer.choice
        # One answer was asked for: pieces of a second one must not end up between those of the first.
        choice = choice if index == answer.choice else None
    _take_frame(answer, body, choice or {})
    # Azure sends choices without a delta, for its filter; others put a whole message into the last chunk.
    delta = (choice or {}).get("delta")
    message = delta or (choice or {}).get("message")
    return _take_message(answer, message, splitter, is_whole=not delta) if isinstance(message, dict) else ""


def _choice(body: Json) -> Json | None:
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    if choice.get("error"):
        raise Refused(None, body=choice["error"])
    return choice


def _take_frame(answer: Answer, body: Json, choice: Json) -> None:
    """Take what stands around the text: the model, the usage, and why it ended."""
    answer.model = name(body.get("model"), answer.model)
    usage = body.get("usage")
    if isinstance(usage, dict):
        prompt, completion = tokens(usage.get("prompt_tokens")), tokens(usage.get("completion_tokens"))
        answer.prompt_tokens = answer.prompt_tokens if prompt is None else prompt
        answer.completion_tokens = answer.completion_tokens if completion is None else completion
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason:
        short = provider_errors.short(reason, most=LONGEST_NAME).lower()
        answer.finish_reason = _ENDS.get(short, short)


def _take_message(answer: Answer, message: Json, splitter: Splitter, *, is_whole: bool) -> str:
    """Take what a message or a delta holds beside its text, and return the text."""
    for field in _REASONING_FIELDS:
        if isinstance(message.get(field), str) and message[field]:
            splitter.think(text(message[field]))
            break
    answer.refusal += text(message.get("refusal"))
    answer.gathered.take(message, is_whole=is_whole)
    content = message.get("content")
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return text(content)
    return "".join(_part(answer, part, splitter) for part in content)


def _part(answer: Answer, part: Any, splitter: Splitter) -> str:
    """Return the text of one part of a content that is a list of parts."""
    if not isinstance(part, dict):
        return text(part)
    kind = part.get("type")
    if kind in _REASONING_PARTS:
        thought = part.get("thinking") or part.get("reasoning") or part.get("text")
        inner = thought if isinstance(thought, list) else [thought]
        splitter.think("".join(text(piece.get("text") if isinstance(piece, dict) else piece) for piece in inner))
        return ""
    if kind == "refusal":
        answer.refusal += text(part.get("refusal"))
        return ""
    return text(part.get("text"))


def _quote(body: Any) -> str:
    return repr(provider_errors.short(body if isinstance(body, str) else json.dumps(body, default=str), most=200))
