"""Decide which tools to call, and answer from what they returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentapp.offline_model import choices, drafting, instances, questions, sections, sentences
from agentapp.offline_model.wire import Answer, ToolCall

MOST_AT_ONCE = 4


def calls(body: dict[str, Any], text: str) -> list[ToolCall]:
    """Return the tool calls of this turn: every tool that fits the text, the best one at least, each once per question.

    One at a time when the request forbids parallel calls; none when it forbids tools or all that fit were called.

    Raises:
        Unsatisfiable: the arguments' schema cannot be filled.
    """
    choice = body.get("tool_choice") or "auto"
    offered = [tool["function"] for tool in body.get("tools") or [] if isinstance(tool.get("function"), dict)]
    if choice == "none" or not offered:
        return []
    done = _called(body["messages"])
    if choice == "auto":
        found = [returned for _, returned in results(body["messages"])]
        chosen = choices.calls([tool["name"] for tool in offered], text, done, found)
        if chosen is not None:
            return chosen[:1] if body.get("parallel_tool_calls") is False else chosen
    if isinstance(choice, dict):
        wanted = [tool for tool in offered if tool["name"] == choice.get("function", {}).get("name")]
    else:
        by_fit = sorted(offered, key=lambda tool: -_fit(tool, text))
        wanted = by_fit[:1] + [tool for tool in by_fit[1:MOST_AT_ONCE] if _fit(tool, text) >= questions.RELEVANT]
    fresh = [tool for tool in wanted if tool["name"] not in done]
    if body.get("parallel_tool_calls") is False:
        fresh = fresh[:1]
    return [ToolCall(tool["name"], _arguments(tool, text)) for tool in fresh]


def results(messages: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (tool name, text) for each tool result since the last user turn."""
    names: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for message in _since_question(messages):
        for call in message.get("tool_calls") or []:
            names[call.get("id", "")] = call.get("function", {}).get("name", "the tool")
        if message.get("role") == "tool":
            name = names.get(message.get("tool_call_id", ""), "the tool")
            found.append((name, sections.plain(sections.text_of(message))))
    return found


def quote(found: list[tuple[str, str]], text: str) -> Answer:
    """Answer a question by quoting what the tools returned."""
    lines = []
    for name, returned in found:
        told = sentences.split(returned) or ["(nothing)"]
        near = sorted(told, key=lambda sentence: -sentences.closeness(text, sentence))[:3]
        lines.append(f"{name} says: " + " ".join(f"“{sentence}”" for sentence in told if sentence in near))
    return Answer(text="\n".join([*lines, "", drafting.SIGNATURE]))


def _arguments(tool: dict[str, Any], text: str) -> dict[str, Any]:
    built = instances.build(tool.get("parameters") or {"type": "object"}, text)
    return built if isinstance(built, dict) else {}


def _fit(tool: dict[str, Any], text: str) -> float:
    """Say how well a tool fits a text; a tool that is called by its name fits wholly."""
    name = str(tool.get("name", ""))
    if name and name in text:
        return 1.0
    return sentences.closeness(text, f"{name.replace('_', ' ')}: {tool.get('description', '')}")


def _called(messages: Sequence[dict[str, Any]]) -> set[str]:
    """Return the names of the tools that were called since the last user turn."""
    asked = [call for message in _since_question(messages) for call in message.get("tool_calls") or []]
    return {call.get("function", {}).get("name", "") for call in asked}


def _since_question(messages: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    last = max((number for number, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    return messages[last + 1 :]
