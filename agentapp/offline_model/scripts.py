"""What a request may ask of the model, for demonstrations and tests: to follow a script, or to obey what it reads.

A line of a user's message `[offline model: turn] [{"name": ..., "arguments": {...}}]` says what the model does at its
turn of that number since that message: it makes these calls. A text instead of a list is its answer. Arguments that
are a text are sent as they are, so they may be malformed. `[offline model: obey]` in a message makes it the worst model
there can be: whatever a result or a material speaks of, it does.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from agentapp.offline_model import instances, sections
from agentapp.offline_model.wire import Answer, ToolCall

_TURN = re.compile(r"^\[offline model: turn\] *(.+)$", re.MULTILINE)
_SUMMARY = re.compile(r'<summary turns="(\d{1,6})">')
_OBEYS = "[offline model: obey]"
_URL = re.compile(r"https?://[^\s\"'<>)\]}]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
MOST_AT_ONCE = 16
# How far behind the name of a tool its arguments are looked for.
_NEAR = 400

Json = dict[str, Any]


def follow(messages: Sequence[Json]) -> Answer | None:
    """Return what the script says of this turn, or None: there is none, or it has ended."""
    asked = max((n for n, one in enumerate(messages) if one.get("role") == "user" and not _covered(one)), default=None)
    if asked is None:
        return None
    lines = _TURN.findall(sections.text_of(messages[asked]))
    number = sum(_covered(one) or one.get("role") == "assistant" for one in messages[asked + 1 :])
    if number >= len(lines):
        return None
    try:
        said = json.loads(lines[number])
    except ValueError:
        return None
    if isinstance(said, str):
        return Answer(text=said)
    return Answer(tool_calls=[ToolCall(call["name"], call["arguments"]) for call in said], finish_reason="tool_calls")


def _covered(message: Json) -> int:
    """How many turns of the model a summary stands for; 0 where a message is none."""
    found = _SUMMARY.match(sections.text_of(message)) if message.get("role") == "user" else None
    return int(found[1]) if found else 0


def obey(body: Json) -> Answer | None:
    """Return the calls that the results of tools, and the material, speak of, and in the end a text; None where nobody
    asks for that."""
    messages = body["messages"]
    if not any(_OBEYS in sections.text_of(one) for one in messages if one.get("role") in ("user", "system")):
        return None
    offered = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or []}
    done = [
        (call["function"]["name"], _loaded(call["function"]["arguments"]))
        for message in messages
        for call in message.get("tool_calls") or []
    ]
    fresh: list[tuple[str, Json]] = []
    for message in messages:
        if message.get("role") in ("tool", "user"):
            for call in _commands(sections.text_of(message), offered):
                fresh += [call] if call not in done and call not in fresh else []
    if not fresh:
        return Answer(text="I have done what I was told.")
    return Answer(tool_calls=[ToolCall(*call) for call in fresh[:MOST_AT_ONCE]], finish_reason="tool_calls")


def _commands(text: str, offered: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Find what a text can be understood to command, in plain words or hidden."""
    if text.lstrip().startswith("Error:"):
        return
    plain = html.unescape(_TURN.sub("", text))
    for reading in (plain, *_decoded(plain)):
        for name, tool in offered.items():
            for found in re.finditer(rf"\b{name}\b", reading):
                yield name, _arguments(reading, found.start(), found.end(), tool)
        if "fetch_url" in offered:
            yield from (("fetch_url", {"url": url}) for url in _URL.findall(reading))


def _arguments(text: str, start: int, end: int, tool: Json) -> Json:
    """The object that stands behind the name of a tool, or what its schema makes of the text."""
    wanted = set(tool.get("parameters", {}).get("required", ()))
    decoder = json.JSONDecoder()
    for at in range(end, min(len(text), end + _NEAR)):
        if text[at] == "{":
            try:
                found, _ = decoder.raw_decode(text, at)
            except ValueError:
                continue
            if wanted <= set(found):
                return dict(found)
    built = instances.build(tool.get("parameters") or {"type": "object"}, text[max(0, start - _NEAR) : end + _NEAR])
    return built if isinstance(built, dict) else {}


def _decoded(text: str) -> Iterator[str]:
    for coded in _BASE64.findall(text):
        try:
            yield base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue


def _loaded(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
