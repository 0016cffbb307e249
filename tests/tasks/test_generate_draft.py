"""What is no draft."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentapp.errors import InvalidModelOutput, PermanentError
from agentapp.llm.answers import Reply
from tasks.generate_draft import whole


def reply(text: str, *, finish_reason: str = "stop") -> Reply:
    return Reply(
        text=text, model="sample", prompt_tokens=1, completion_tokens=4_000, cost_usd=Decimal(0), latency_s=1.0,
        data=None, finish_reason=finish_reason, ttft_s=None,
    )  # fmt: skip


def test_a_draft_is_taken_without_the_space_around_it() -> None:
    assert whole(reply("\n Hello.\n\nBye.\n")) == "Hello.\n\nBye."


def test_an_empty_draft_may_be_better_next_time() -> None:
    with pytest.raises(InvalidModelOutput):
        whole(reply(" \n"))


def test_a_draft_that_was_cut_off_would_be_cut_off_again() -> None:
    with pytest.raises(PermanentError, match="4000 tokens"):
        whole(reply("Hello, we", finish_reason="length"))
