"""What is kept of a call of a model: its prompt and its answer, as much as the setting says, and no secret."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from agentapp import redaction
from agentapp.llm.answers import Message, Reply
from agentapp.llm.tool_calls import ToolCall
from agentapp.runtime import exchanges

SECRET = "sk-test-0123456789abcdef"


def reply(text: str, **more: Any) -> Reply:
    return Reply(
        text=text, model="m", prompt_tokens=1, completion_tokens=1, cost_usd=Decimal(0), latency_s=0.1, data=None,
        finish_reason="stop", ttft_s=None, **more,
    )  # fmt: skip


def kept(told: Any, answer: Reply | None = None) -> Any:
    return exchanges.of(told, answer)


def test_the_newest_messages_and_the_instructions_are_kept(settings: Settings) -> None:
    settings.AGENTAPP_KEPT_CALL_CHARACTERS = 40
    told = [Message("system", "s" * 100), *(Message("user", str(n) * 15) for n in range(4))]

    messages = kept(told)["messages"]

    assert [message["text"] for message in messages] == ["s" * 10, "", "", "2" * 15, "3" * 15]
    assert [message.get("cut", 0) for message in messages] == [90, 15, 15, 0, 0]


def test_a_lone_instruction_may_take_it_all(settings: Settings) -> None:
    settings.AGENTAPP_KEPT_CALL_CHARACTERS = 40
    assert kept([Message("system", "s" * 40)])["messages"] == [{"role": "system", "text": "s" * 40}]


def test_an_answer_is_kept_with_its_calls(settings: Settings) -> None:
    settings.AGENTAPP_KEPT_CALL_CHARACTERS = 40
    answer = reply("a" * 42, reasoning="b" * 42, calls=(ToolCall("1", "find", '{"a": "long"}'),))

    assert kept([Message("user", "q")], answer)["reply"] == {
        "role": "assistant", "text": "a" * 40, "cut": 9, "calls": [{"name": "find", "arguments": '{"a": '}],
        "finish_reason": "stop", "reasoning": "b" * 40,
    }  # fmt: skip


def test_calls_of_tools_count_as_what_was_told(settings: Settings) -> None:
    settings.AGENTAPP_KEPT_CALL_CHARACTERS = 1_000
    call = ToolCall("1", "write", "x" * 5_000)
    told = [Message("assistant", "", calls=(call,) * 3) for _ in range(200)]

    whole = kept(told, reply("", calls=(ToolCall("1", "", "x"),) * 5_000))

    assert len("".join(each["arguments"] for one in whole["messages"] for each in one.get("calls", ()))) <= 1_000
    assert [each["cut"] for each in whole["messages"][:2]] == [15_000, 15_000]
    assert len(whole["reply"]["calls"]) == 1_000 and whole["reply"]["cut"] == 4_000


def test_nothing_is_kept_where_the_setting_says_so(settings: Settings) -> None:
    settings.AGENTAPP_KEPT_CALL_CHARACTERS = 0
    assert kept([Message("user", "q")], reply("a")) is None


@pytest.mark.parametrize("at", [0, 30, 35, 39, 45])
def test_no_part_of_a_secret_is_kept_wherever_the_text_is_cut(settings: Settings, at: int) -> None:
    settings.AGENTAPP_KEPT_CALL_CHARACTERS = 40
    redaction.learn(SECRET)

    text = kept([Message("user", "x" * at + SECRET + "y" * 50)], reply("x" * at + SECRET + "\x00\ud800"))

    assert SECRET[:6] not in str(text) and "\x00" not in str(text)
    str(text).encode()


def test_no_character_that_cannot_be_stored_is_kept_of_a_role(settings: Settings) -> None:
    (message,) = kept([{"role": "\x00\ud800", "content": ""}])["messages"]
    assert message["role"] == "\N{REPLACEMENT CHARACTER}" * 2


@pytest.mark.parametrize("content", [None, 5, [{"type": "text", "text": "hello"}], {"a": 1}, "hello"])
@pytest.mark.parametrize("calls", [None, 5, ["a"], [{"function": 5}], [{"function": {"name": 5, "arguments": {}}}]])
def test_whatever_a_framework_says_can_be_kept(content: Any, calls: Any) -> None:
    (message,) = kept([{"role": "user", "content": content, "tool_calls": calls}])["messages"]
    assert isinstance(message["text"], str)
