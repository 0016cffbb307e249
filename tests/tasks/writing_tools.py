"""A tool that writes by itself until its run has read what others wrote."""

from __future__ import annotations

from typing import Any

from agentapp.tools import ToolContext, tool


@tool(queue="send", write=True, scope="tools:write", approval="tainted")
def note_down(ctx: ToolContext, *, text: str) -> dict[str, Any]:
    """Write a note into the notebook of the team."""
    return ctx.effect(lambda effect_id: {"note": effect_id}, request={"text": text}, is_idempotent=True)


@tool(queue="send", write=True, scope="tools:write")
def transfer(ctx: ToolContext, *, amount: float) -> dict[str, Any]:
    """Transfer an amount."""
    return ctx.effect(lambda effect_id: {"transfer": effect_id}, request={"amount": amount}, is_idempotent=True)


@tool(queue="retrieval")
def recite(ctx: ToolContext, *, letter: str, characters: int) -> str:
    """Say a letter many times."""
    return letter * characters


@tool(queue="send", write=True, scope="tools:write", approval="tainted", sequential=True)
def append_line(ctx: ToolContext, *, text: str) -> dict[str, Any]:
    """Append a line to the log of the team: the order of the lines counts."""
    return ctx.effect(lambda effect_id: {"line": effect_id}, request={"text": text}, is_idempotent=True)
