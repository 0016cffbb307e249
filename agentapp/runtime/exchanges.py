"""What is kept of a call of a model beside its numbers: what it was asked, and what it answered. For people who look
for the cause of an answer; nothing reads it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentapp import conf
from agentapp.llm.answers import Message, Reply
from agentapp.policies import storable

Json = dict[str, Any]
# Secrets are looked for so far behind what is kept: one that begins before the cut is seen whole.
_MARGIN = 4_096
# Of what the instructions may take: they come first, and the newest messages say what was asked.
_INSTRUCTIONS = 4
# The same of the calls of tools behind a long text, which say what came of it.
_CALLS = 4
_NAME = 200


def of(told: Sequence[Message] | Sequence[Json], reply: Reply | None) -> Json | None:
    """Return what is kept of a call: at most so many characters of what it was told, and of its answer, as the setting
    says; None: nothing. Each text says how many characters of it are `cut`. `told` are our messages, or those of a
    framework."""
    most = conf.kept_call_characters()
    if most <= 0:
        return None
    kept = {"messages": _messages([_message(one) for one in told], most=most)}
    return kept if reply is None else {**kept, "reply": _reply(reply, most=most)}


def _messages(told: list[Json], *, most: int) -> list[Json]:
    """The instructions, and the newest of the others; how long each was stands with all of them."""
    left = most
    kept: dict[int, Json] = {}
    first = [0] if told and told[0]["role"] == "system" else []
    for number in [*first, *reversed(range(len(first), len(told)))]:
        share = most // _INSTRUCTIONS if number in first and len(told) > 1 else left
        kept[number], used = _cut(told[number], most=share)
        left = max(0, left - used)
    return [kept[number] for number in range(len(told))]


def _cut(message: Json, *, most: int) -> tuple[Json, int]:
    """What is kept of a message, its text before its calls, and how many characters that is."""
    text, calls = message["text"], message.get("calls", [])
    shown = _begin(text, most)
    used, cut = len(shown), max(0, len(text) - len(shown))
    whole: Json = {"role": message["role"], "text": shown}
    kept: list[Json] = []
    room = max(most - used, most // _CALLS)
    for name, arguments in calls:
        call = {
            "name": _begin(name, _NAME if room > 0 else 0),
            "arguments": _begin(arguments, room - len(name[:_NAME])),
        }
        cut += max(0, len(arguments) - len(call["arguments"]))
        if room > 0:
            kept.append(call)
        taken = max(1, len(call["name"]) + len(call["arguments"]))
        used, room = used + taken, room - taken
    return whole | ({"cut": cut} if cut else {}) | ({"calls": kept} if kept else {}), used


def _begin(text: str, most: int) -> str:
    """The beginning of a text, without what cannot be kept and without secrets."""
    return storable.text(text[: most + _MARGIN])[:most] if most > 0 else ""


def _message(one: Message | Json) -> Json:
    if isinstance(one, Message):
        calls = [(call.name, call.arguments) for call in one.calls]
        return {"role": one.role, "text": str(one.content), "calls": calls}
    content = one.get("content") or ""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)
    return {
        "role": storable.text(str(one.get("role", ""))[:20]),
        "text": text,
        "calls": list(_calls(one.get("tool_calls"))),
    }


def _calls(given: Any) -> list[tuple[str, str]]:
    """The calls in a framework's message, which may be anything."""
    found = [call.get("function") for call in given if isinstance(call, dict)] if isinstance(given, list) else []
    return [(str(each.get("name", "")), str(each.get("arguments", ""))) for each in found if isinstance(each, dict)]


def _reply(reply: Reply, *, most: int) -> Json:
    calls = [(call.name, call.arguments) for call in reply.calls]
    kept, _ = _cut({"role": "assistant", "text": reply.text, "calls": calls}, most=most)
    thought = _begin(reply.reasoning, most)
    kept["finish_reason"] = storable.text(reply.finish_reason[:50])
    return kept | ({"reasoning": thought} if thought else {})
