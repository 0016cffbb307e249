"""Tools of agents in real processes: one that can be held, and one that writes into the outside world of the tests."""

from __future__ import annotations

from typing import Any

from agentapp.tools import ToolContext, tool
from tests import recorder
from tests.agents import record


@tool(queue="model", timeout_s=100)
def hold(ctx: ToolContext, *, gate: str, number: int) -> str:
    """Wait until a test lets it go."""
    record.counted(f"held:{gate}")
    record.wait_at(gate)
    return f"number {number}"


@tool(queue="send", write=True, scope="tools:write", approval="tainted")
def post_note(ctx: ToolContext, *, text: str) -> dict[str, Any]:
    """Write a note, which nobody can take back."""

    def call(effect_id: str) -> dict[str, Any]:
        recorder.note("effect", effect=effect_id, text=text, task=str(ctx.task_id))
        return {}

    ctx.effect(call, request={"text": text}, ask=recorder.first_call)
    return {"noted": text}
