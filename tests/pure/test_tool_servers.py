"""What an MCP server says of its tools, and the arguments of their calls. [C11]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp import redaction
from agentapp.policies import tool_servers

Json = dict[str, Any]


def listed(schema: Json, description: str = "Reads.") -> tuple[list[tool_servers.ListedTool], list[str]]:
    tool = {"name": "odd", "description": description, "inputSchema": {"type": "object"} | schema}
    return tool_servers.listing("shop", "sample", [tool])


@pytest.mark.parametrize("pattern", [r"^\p{L}+$", "a{99999999999999999999}", "(" * 4_000 + ")" * 4_000])
def test_a_pattern_is_not_compiled(pattern: str) -> None:
    tools, problems = listed({"properties": {"a": {"type": "string", "pattern": pattern}}})

    assert len(tools) == 1 and problems == []


@pytest.mark.parametrize(
    "schema", [{"required": 5}, {"properties": {"a": {"type": "strange"}}}, {"allOf": [5] * 3_000}]
)
def test_a_schema_that_is_none_is_left_out_with_a_sentence(schema: Json) -> None:
    tools, problems = listed(schema)

    assert tools == [] and "is none" in problems[0]


@pytest.mark.parametrize("part", [{}, True, []])
def test_a_schema_of_many_parts_is_not_checked(part: Any) -> None:
    tools, problems = listed({"allOf": [part] * 1_500})

    assert tools == [] and "more than 500 parts" in problems[0]
    assert listed({"properties": {f"p{n}": {"type": "string"} for n in range(300)}})[1] == []


def test_what_nobody_sees_is_taken_out() -> None:
    unseen = "".join(map(chr, (0xE0100, 0xE01EF, 0xFE0F, 0x3164, 0x115F, 0xFFA0, 0x2800, 0x034F, 0x200B, 0xE0041)))

    assert (
        tool_servers.plain(f"Reads{unseen} \u00e9t\u00e9 \u0915\u094d\u0937")
        == "Reads \u00e9t\u00e9 \u0915\u094d\u0937"
    )


def test_a_secret_with_unseen_signs_in_it_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_values", {})
    monkeypatch.setattr(redaction, "_forms", ())
    redaction.learn("canary-5262")
    ((tool,), _) = listed({"title": "canary\u200b-5262"}, "It is canary\u200b-5262.")

    assert tool.schema["title"] == "[secret]" and tool.description == "It is [secret]."


@pytest.mark.parametrize("more", [{"patternProperties": {"^x-": {}}}, {"$ref": "#/$defs/a"}])
def test_arguments_that_another_rule_may_know_are_left_to_the_server(more: Json) -> None:
    closed = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}

    assert tool_servers.problem_of_arguments(closed | more, {"x-a": 1}) == ""
    assert "no such arguments" in tool_servers.problem_of_arguments(closed, {"x-a": 1})


def test_servers_share_what_is_offered_and_a_tool_that_does_not_fit_is_left_out_alone() -> None:
    first = [(1, tool, 30) for tool in range(10, 15)]
    sizes = [*first, (2, 20, 10), (2, 21, 80), (2, 22, 5)]

    assert tool_servers.offered_of(sizes, most=64, characters=110) == [10, 20, 11, 12, 22]
    assert tool_servers.offered_of(sizes, most=2, characters=100) == [10, 20]
